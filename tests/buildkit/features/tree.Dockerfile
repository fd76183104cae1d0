FROM debian AS made
ARG NAME
WORKDIR /w
COPY --chown=games tree /w/tree/
RUN --mount=type=bind,source=tree,target=/t echo "hello $NAME" > /greeting && ls /t > list
FROM made
COPY --from=made --chmod=640 /w/list /list
ENV A=b
