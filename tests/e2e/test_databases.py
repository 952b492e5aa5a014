"""The databases of the tests are real ones: they know who logs in, and go on where they stopped."""


def test_a_database_knows_who_logs_in(database):
    odd = "it's \"odd\" \\ %s ü"
    database.add_user("odd one", odd)
    assert database.logs_in("odd one", odd)
    assert not database.logs_in("odd one", "another") and not database.logs_in("nobody", odd)
    database.set_password("odd one", "another")
    assert database.logs_in("odd one", "another") and not database.logs_in("odd one", odd)
    port = database.port
    database.stop()
    database.start()
    assert database.port == port and database.logs_in("odd one", "another")
