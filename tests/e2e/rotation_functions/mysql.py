"""What a rotation says to MySQL and MariaDB, which differ in how a password is set."""

import pymysql

USER_CHARACTERS_MAX = 16


def attempt(words, use_tls):
    try:
        return pymysql.connect(
            host=words["host"],
            port=int(words.get("port", 3306)),
            user=words["username"],
            password=words["password"],
            database=words.get("dbname"),
            connect_timeout=5,
            **({"ssl": {"ca": "/etc/pki/tls/cert.pem"}} if use_tls else {"ssl_disabled": True}),
        )
    except (pymysql.OperationalError, OSError):
        return None


def look_at_the_time(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOW()")
    connection.commit()


def set_own_password(connection, pending):
    with connection.cursor() as cursor:
        cursor.execute(f"SET PASSWORD = {password_option(cursor)}", pending["password"])
    connection.commit()


def set_password_of_another(connection, current_user, pending):
    with connection.cursor() as cursor:
        cursor.execute("SELECT User FROM mysql.user WHERE User = %s", pending["username"])
        if not cursor.fetchall():
            cursor.execute("CREATE USER %s IDENTIFIED BY %s", (pending["username"], pending["password"]))
        cursor.execute("SHOW GRANTS FOR %s", current_user)
        for (grant,) in cursor.fetchall():
            rights = grant.split(" TO ")[0].replace("%", "%%")
            cursor.execute(f"{rights} TO %s", (pending["username"],))
        cursor.execute(f"SET PASSWORD FOR %s = {password_option(cursor)}", (pending["username"], pending["password"]))
    connection.commit()


def password_option(cursor):
    cursor.execute("SELECT VERSION()")
    (version,) = cursor.fetchone()
    return "%s" if version.startswith("8") else "PASSWORD(%s)"
