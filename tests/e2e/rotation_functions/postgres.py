"""What a rotation says to PostgreSQL. Names and passwords are no parameters of these statements, so they are quoted here."""

import ssl

import pg8000.native

USER_CHARACTERS_MAX = 63


def attempt(words, use_tls):
    trusted = ssl.create_default_context(cafile="/etc/pki/tls/cert.pem") if use_tls else None
    try:
        return pg8000.native.Connection(
            words["username"],
            host=words["host"],
            port=int(words.get("port", 5432)),
            database=words.get("dbname", "postgres"),
            password=words["password"],
            timeout=5,
            # Without a word the driver tries by itself.
            ssl_context=trusted or False,
        )
    except (pg8000.native.Error, OSError):
        return None


def look_at_the_time(connection):
    connection.run("SELECT NOW()")


def set_own_password(connection, pending):
    connection.run(f"ALTER USER {name(pending['username'])} WITH PASSWORD {literal(pending['password'])}")


def set_password_of_another(connection, current_user, pending):
    user, password = name(pending["username"]), literal(pending["password"])
    is_known = connection.run("SELECT 1 FROM pg_roles WHERE rolname = :user", user=pending["username"])
    if is_known:
        connection.run(f"ALTER USER {user} WITH PASSWORD {password}")
    else:
        # Both or neither: one who logs in and may do nothing would pass for made.
        connection.run("BEGIN")
        connection.run(f"CREATE ROLE {user} WITH LOGIN PASSWORD {password}")
        connection.run(f"GRANT {name(current_user)} TO {user}")
        connection.run("COMMIT")


def name(text):
    return '"' + text.replace('"', '""') + '"'


def literal(text):
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"
