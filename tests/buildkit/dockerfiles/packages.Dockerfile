FROM base
ARG DEBIAN_FRONTEND=noninteractive
RUN set -eux; \
    mkdir -p /pkg/DEBIAN /pkg/opt/thing; \
    printf 'Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n' > /pkg/DEBIAN/control; \
    echo x > /pkg/opt/thing/x; \
    find /pkg -exec touch -d @1600000000 {} +; \
    dpkg-deb -b /pkg /tmp/thing.deb >/dev/null; \
    dpkg -i /tmp/thing.deb; \
    rm -rf /pkg /tmp/thing.deb /var/lib/dpkg/*-old /var/log/*
