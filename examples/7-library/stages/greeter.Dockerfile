# A library: a file with stages. What a stage offers stands beside what makes it.
FROM debian AS greeter
COPY --chmod=755 <<'EOF' /opt/greeter/bin/greet
#!/bin/sh
echo "$GREETING $1, from $(whoami)"
EOF
EXPORT COPY --from=% /opt/greeter /opt/greeter
EXPORT ENV GREETING=hello PATH=/opt/greeter/bin:$PATH
