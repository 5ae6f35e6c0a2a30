#!/bin/sh
# One hook for every client, each of which calls it in its own way. It puts TXT records where the tests' DNS server looks
# ($ZONE, a file for each name) and tokens where their web server does ($WEBROOT); $CHALLENGE is the type that is wanted.
set -eu

record() { printf '%s\n' "$2" >>"$ZONE/${1%.}"; }
forget() { rm -f "$ZONE/${1%.}"; }
token() { printf '%s' "$2" >"$WEBROOT/.well-known/acme-challenge/$1"; }

case "${1-}" in
# mod_md: name, value
setup) record "_acme-challenge.$2" "$3" ;;
teardown) forget "_acme-challenge.$2" ;;

# lego's exec provider, in Traefik too: name, value
present) record "$2" "$3" ;;
cleanup) forget "$2" ;;

# uacme: type, identifier, token, key authorization or its digest; another code than 0 declines the type
begin)
  [ "$2" = "$CHALLENGE" ] || exit 1
  case "$2" in
  dns-01) record "_acme-challenge.$3" "$5" ;;
  http-01) token "$4" "$5" ;;
  tls-alpn-01) [ "$(echo "auth $3 $5" | ualpn --sock "$UALPN")" = OK ] ;;
  esac
  ;;
done | failed)
  case "$2" in
  dns-01) forget "_acme-challenge.$3" ;;
  tls-alpn-01) [ "$(echo "unauth $3" | ualpn --sock "$UALPN")" = OK ] ;;
  esac
  ;;

# dehydrated: identifier, token, digest for dns-01; it writes tokens and certificates of challenges itself
deploy_challenge) [ "$CHALLENGE" != dns-01 ] || record "_acme-challenge.$2" "$4" ;;
clean_challenge) [ "$CHALLENGE" != dns-01 ] || forget "_acme-challenge.$2" ;;

# acmetool: name, target's file, value; 42 says that there is no such hook
challenge-dns-start) record "_acme-challenge.$2" "$4" ;;
challenge-dns-stop) forget "_acme-challenge.$2" ;;
challenge-* | live-updated) exit 42 ;;

# certbot: everything in the environment, and what the first call printed in the second's
"")
  if [ -z "${CERTBOT_AUTH_OUTPUT+set}" ]; then
    record "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"
  else
    forget "_acme-challenge.$CERTBOT_DOMAIN"
  fi
  ;;
esac
