FROM base
RUN mkdir -p /d/e && touch /d/one /d/two /d/e/three
RUN rm /d/one && rm -r /d/e
RUN rm -rf /d && mkdir /d && touch /d/fresh
RUN rm -rf /usr/share/doc /usr/share/man
RUN rm /etc/motd && ln -s /dev/null /etc/motd
RUN mv /etc/issue /etc/issue.old
