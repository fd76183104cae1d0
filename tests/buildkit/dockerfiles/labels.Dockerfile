FROM base
LABEL org.example.title="A title" \
      org.example.description='single quotes' \
      multi="line one \
line two"
LABEL org.example.title="changed"
MAINTAINER someone <someone@example.org>
VOLUME /data
VOLUME ["/logs", "/more data"]
EXPOSE 80 443/tcp 53/udp
STOPSIGNAL 9
