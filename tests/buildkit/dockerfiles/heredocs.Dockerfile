FROM base
RUN <<EOT bash
set -e
echo one > /one
echo "$HOME" > /home-of
EOT
RUN <<-"EOT"
	echo '$HOME' > /literal
	EOT
RUN <<FILE1 cat > /file1 && cat <<FILE2 > /file2
first
FILE1
second
FILE2
COPY <<config.ini <<EOT /etc/app/
[app]
name=$PATH
config.ini
more
EOT
COPY --chmod=600 <<"raw" /etc/app/raw.txt
no $EXPANSION
raw
RUN <<EOT
#!/usr/bin/env python3
print("by python", file=open("/py", "w"))
EOT
