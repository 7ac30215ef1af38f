#!/bin/sh
# Starts Keycloak. The arguments of the official image's command (start-dev ...) are ignored: its start-up code has been
# generated. The first administrator has the name and the password that the official image takes from the environment.
set -eu
export KC_BOOTSTRAP_ADMIN_USERNAME="$KEYCLOAK_ADMIN" KC_BOOTSTRAP_ADMIN_PASSWORD="$KEYCLOAK_ADMIN_PASSWORD"
unset KEYCLOAK_ADMIN KEYCLOAK_ADMIN_PASSWORD
exec java @/opt/keycloak/java.arguments
