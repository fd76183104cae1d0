FROM base AS one
RUN mkdir -p /t/shared && echo 1 > /t/shared/one && echo 1 > /t/both && chmod 750 /t/shared
FROM base AS two
RUN mkdir -p /t/shared && echo 2 > /t/shared/two && echo two > /t/both
FROM scratch
COPY --from=one /t /
COPY --from=two /t /
