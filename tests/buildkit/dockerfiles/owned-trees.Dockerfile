FROM base
COPY --chmod=755 --chown=1:1 src /s
COPY src/sub/lib.py conf/a.conf /flat/
RUN find /s /flat | sort > /list
