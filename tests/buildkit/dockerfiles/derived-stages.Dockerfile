FROM base AS common
ENV A=1
WORKDIR /w
RUN echo common > c
FROM common AS one
RUN echo one > one
FROM common AS two
ENV A=2
RUN echo "two $A" > two
FROM common
COPY --from=one /w/one .
COPY --from=two /w/two .
COPY --from=0 /w/c copied
