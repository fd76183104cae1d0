FROM base
ONBUILD COPY . /app
ONBUILD RUN make -C /app
RUN true
