FROM base AS tools
RUN echo tool > /tool
FROM base
WORKDIR /work
RUN --mount=type=bind,target=/ctx --mount=type=tmpfs,target=/scratch cp /ctx/src/app.py . && touch /scratch/x
RUN --mount=from=tools,source=/tool,target=/mnt/tool cat /mnt/tool > got
RUN --mount=type=cache,target=/var/cache/thing,id=verify-mounts,uid=5,mode=0700 stat -c '%u %a' /var/cache/thing > cache-facts
RUN --mount=type=bind,source=src,target=/rw,rw touch /rw/new && ls /rw > listing
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
RUN --mount=type=bind,source=conf,target=conf cat conf/*.conf > merged
