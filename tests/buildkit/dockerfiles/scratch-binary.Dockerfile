FROM base AS build
RUN printf 'data\n' > /tool && chmod 4755 /tool
FROM scratch
COPY --from=build /tool /tool
COPY --from=build /etc/passwd /etc/passwd
ENTRYPOINT ["/tool"]
