FROM base AS rootfs
RUN mkdir /tree && cp -a /etc/apt /tree/ && ln -s apt /tree/link && ln /tree/apt/sources.list /tree/hard 2>/dev/null || true
FROM scratch
COPY --from=rootfs /tree /
CMD ["sh"]
