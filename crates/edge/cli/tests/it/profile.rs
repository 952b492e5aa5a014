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
fn the_version_before_coffer_is_never_written_over() {
    let place = Place::new();
    place.server().stop();
    let mine = "[profile work]\nregion = eu-west-1\n";
    place.write("home/.aws/config", mine.as_bytes());
    place.run(&["profile", "install"]).done();
    let after_first = place.text("home/.aws/config");
    for name in ["other", "third"] {
        place.run(&["profile", "install", "--name", name]).done();
        assert_eq!(place.text("home/.aws/config.before-coffer"), mine, "{name}");
    }
    let before_last = place.text("home/.aws/config.before-last-change");
    assert!(
        before_last.starts_with(&after_first) && before_last.contains("[profile other]"),
        "{before_last}"
    );
    assert_eq!(mode(&place.path("home/.aws/config.before-last-change")), 0o600);
    let mut names: Vec<_> = std::fs::read_dir(place.path("home/.aws"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("config"))
        .collect();
    names.sort();
    assert_eq!(names, ["config", "config.before-coffer", "config.before-last-change"]);
}

#[test]
fn a_quoted_name_is_the_same_profile() {
    let place = Place::new();
    place.server().stop();
    place.write("home/.aws/config", b"[profile \"coffer\"]\nregion = eu-west-1\noutput = json\n");
    place.run(&["profile", "install"]).done();
    assert_eq!(
        place.text("home/.aws/config"),
        "[profile \"coffer\"]\nregion = us-east-1\nendpoint_url = http://127.0.0.1:4566\noutput = json\n"
    );
}

#[test]
fn an_authority_in_the_environment_is_warned_about() {
    let place = Place::new();
    place.write("coffer.toml", b"[tls]\nautomatic = true");
    let config = place.path("coffer.toml");
    place.start(&["server", "--config", config.to_str().unwrap()]).stop();
    let install = ["profile", "install", "--config", config.to_str().unwrap()];
    let ours = place.path("data/tls/ca.pem");
    for (bundle, is_warned) in [(None, false), (Some(ours), false), (Some(place.path("corporate.pem")), true)]
    {
        let outcome = place.run_with(&install, bundle.as_deref().map(|path| ("AWS_CA_BUNDLE", path)));
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(outcome.stderr.contains("AWS_CA_BUNDLE is "), is_warned, "{outcome:?}");
        assert_eq!(outcome.stderr.contains("unset AWS_CA_BUNDLE"), is_warned, "{outcome:?}");
    }
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
    for name in ["", "a]b", "a\nb", "a b", "-a"] {
        assert_eq!(place.run(&["profile", "install", &format!("--name={name}")]).code, 1, "{name:?}");
    }
    assert!(!place.path("home/.aws").exists());
}
