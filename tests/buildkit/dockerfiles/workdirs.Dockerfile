FROM base
WORKDIR /a
WORKDIR b
WORKDIR ../c/./d/
RUN pwd > place
ENV BASE=/from/env
WORKDIR $BASE/x
RUN pwd > place
WORKDIR /usr
