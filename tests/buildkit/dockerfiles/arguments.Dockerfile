ARG TAG=base
FROM ${TAG}
ARG VERSION=1.2.3
ARG MAJOR=${VERSION%%.*}
ENV APP_VERSION=$VERSION APP_MAJOR=${MAJOR}
LABEL version="$VERSION" major=${MAJOR} missing="${NOTHING:-none}"
RUN echo "$APP_VERSION $MAJOR" > /version
ENV VERSION=shadow
RUN echo "$VERSION" >> /version
