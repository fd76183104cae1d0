FROM base
COPY entry.sh /entry.sh
RUN chmod +x /entry.sh
ENTRYPOINT ["/entry.sh"]
CMD ["bash", "-l"]
ENTRYPOINT ["/entry.sh", "--"]
