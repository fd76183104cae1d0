FROM base
RUN cat /etc/hosts > /dev/null && echo changed > /etc/hostname-of-app
RUN test -c /dev/null && test -d /proc/self && test -d /sys && readlink /dev/stdin > /stdin-is
RUN umask > /umask; ulimit -n > /dev/null; id > /id; pwd > /pwd; tty > /tty || true
