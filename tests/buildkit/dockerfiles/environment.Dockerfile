FROM base
ENV OLD value with blanks
ENV A="x y" B='$A' C=$A D="${A:+set}" E=${Z:-dflt}
ENV PATH=/opt/bin:$PATH
ENV A=second Q="a\"b" 
RUN env | grep -E '^(OLD|A|B|C|D|E|PATH|Q|HOME|HOSTNAME)=' | grep -v HOSTNAME | sort > /env
