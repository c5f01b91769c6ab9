#!/bin/sh
# Wait for the certificate, fill in nginx.conf and become nginx. Needs no more than Debian's base has.
set -eu

: "${PUBLIC_URL:?}" "${MAX_CONTENT_LENGTH:?}" "${MAX_WAIT_SECONDS:?}"
here=$(cd "$(dirname "$0")" && pwd)
certificate=${CERTIFICATE_FOLDER:-/data/certificate}
run=${RUN_FOLDER:-/tmp}
api=${API_ADDRESS:-api:5000}
flower=${FLOWER_ADDRESS:-flower:5555}
resolver=${RESOLVER:-$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)}

case ${PUBLIC_URL%/}$MAX_CONTENT_LENGTH$MAX_WAIT_SECONDS in
    *[!A-Za-z0-9.:/_\[\]-]*) echo 'PUBLIC_URL, MAX_CONTENT_LENGTH or MAX_WAIT_SECONDS has odd characters.' >&2; exit 1 ;;
esac

until [ -s "$certificate/server.crt" ] && [ -s "$certificate/server.key" ]; do
    echo "waiting for server.crt and server.key in $certificate" >&2
    sleep 2
done

# Half a minute beyond the API's longest wait, so that it is the API who says that the wait is over.
read_timeout=$(awk -v wait="$MAX_WAIT_SECONDS" 'BEGIN { print int(wait) + 35 }')

sed -e "s|@PUBLIC_URL@|${PUBLIC_URL%/}|g" \
    -e "s|@BODY_LIMIT@|$MAX_CONTENT_LENGTH|g" \
    -e "s|@READ_TIMEOUT@|$read_timeout|g" \
    -e "s|@RESOLVER@|$resolver|g" \
    -e "s|@API@|$api|g" \
    -e "s|@FLOWER@|$flower|g" \
    -e "s|@CERTIFICATE@|$certificate|g" \
    -e "s|@RUN@|$run|g" \
    -e "s|@DEPLOY@|$here|g" \
    -e "s|@HTTP_PORT@|${LISTEN_HTTP:-8080}|g" \
    -e "s|@HTTPS_PORT@|${LISTEN_HTTPS:-8443}|g" \
    "$here/nginx.conf" > "$run/nginx.conf"

exec nginx -c "$run/nginx.conf" -g "daemon off; ${DIRECTIVES:-}"
