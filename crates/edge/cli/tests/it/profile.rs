//! `coffer profile install`: the files of the AWS CLI.

use crate::place::{Place, mode};

#[test]
fn a_profile_is_added_and_everything_else_stays() {
    let place = Place::new();
    let server = place.server();
    let (config, credentials) =
        ("# mine\n[profile work]\nregion = eu-west-1\n", "[work]\naws_access_key_id = AKIAOTHER\n");
    place.write("home/.aws/config", config.as_bytes());
    place.write("home/.aws/credentials", credentials.as_bytes());

    let said = place.run(&["profile", "install"]).done();
    assert!(said.contains(&server.endpoint), "{said}");
    assert_eq!(
        place.text("home/.aws/config"),
        format!("{config}\n[profile coffer]\nregion = us-east-1\nendpoint_url = {}\n", server.endpoint)
    );
    let bootstrap = place.text("data/bootstrap/credentials");
    let keys = bootstrap.split_once("[default]\n").unwrap().1;
    assert_eq!(place.text("home/.aws/credentials"), format!("{credentials}\n[coffer]\n{keys}"));
    assert!(
        !said.contains(keys.lines().last().unwrap().split_once(" = ").unwrap().1),
        "no secret is printed"
    );
    for name in ["config", "credentials"] {
        assert_eq!(mode(&place.path(&format!("home/.aws/{name}"))), 0o600);
    }
    assert_eq!(place.text("home/.aws/config.before-coffer"), config);
    assert_eq!(place.text("home/.aws/credentials.before-coffer"), credentials);

    let again = place.run(&["profile", "install"]).done();
    assert!(!again.contains("wrote"), "{again}");
    assert_eq!(place.text("home/.aws/config.before-coffer"), config);
}

#[test]
fn without_a_server_the_configuration_says_where_it_will_be() {
    let place = Place::new();
    place.server().stop();
    place.run(&["profile", "install", "--name", "default"]).done();
    let config = place.text("home/.aws/config");
    assert_eq!(config, "[default]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:4566\n");
}

#[test]
fn a_name_that_would_break_the_file_is_refused() {
    let place = Place::new();
    place.server().stop();
    for name in ["", "a]b", "a\nb", "a b"] {
        assert_eq!(place.run(&["profile", "install", "--name", name]).code, 1, "{name:?}");
    }
    assert!(!place.path("home/.aws").exists());
}
