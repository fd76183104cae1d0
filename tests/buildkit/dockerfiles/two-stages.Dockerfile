FROM base AS build
WORKDIR /src
COPY . .
RUN mkdir out && cat src/app.py conf/*.conf > out/all && chmod 640 out/all
FROM base
COPY --from=build /src/out /opt/out
COPY --from=build --chown=games:games /src/out/all /opt/owned
