FROM base
RUN true
WORKDIR /usr
RUN chmod 755 /usr
COPY *.nothing notes.md /n/
RUN :
