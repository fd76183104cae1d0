FROM base
RUN --mount=type=cache,target=/root/.cache mkdir -p /root/.cache/x && touch /root/.cache/x/y
RUN --mount=type=tmpfs,target=/new/place true
RUN --mount=type=bind,source=notes.md,target=/etc/notes.md cat /etc/notes.md > /copy
RUN --mount=type=tmpfs,target=/keep/this touch /keep/beside
