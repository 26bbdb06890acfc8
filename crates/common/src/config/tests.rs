use super::*;

fn file(text: &str) -> Sources {
    Sources { file: Some(("test.toml".into(), text.to_owned())), ..Sources::default() }
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn problem_keys(sources: &Sources) -> Vec<String> {
    Config::load(sources).err().map(|error| error.problems.into_iter().map(|p| p.key).collect()).unwrap_or_default()
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let config = Config::load(&file(SHIPPED)).unwrap();
    assert_eq!(config, Config::default());
    let shipped: toml::Table = SHIPPED.parse().unwrap();
    let full: toml::Table = Config::default().show().parse().unwrap();
    for (section, keys) in &full {
        let there: Vec<&String> = shipped[section].as_table().unwrap().keys().collect();
        for key in keys.as_table().unwrap().keys() {
            assert!(there.contains(&key), "{section}.{key} is missing in config/lakehouse.toml");
        }
    }
}

#[test]
fn the_six_upstreams_of_the_gateway_are_locked() {
    let urls: Vec<&str> = Gateway::KEYS.iter().copied().filter(|k| k.ends_with("d_url")).collect();
    assert_eq!(urls, ["storaged_url", "catalogd_url", "ingestd_url", "queryd_url", "vectord_url", "embedd_url"]);
    assert_eq!(Gateway::default().bind.to_string(), "127.0.0.1:3110");
    let ports = [
        (Gateway::default().storaged_url, Storaged::default().bind),
        (Gateway::default().catalogd_url, Catalogd::default().bind),
        (Gateway::default().ingestd_url, Ingestd::default().bind),
        (Gateway::default().queryd_url, Queryd::default().bind),
        (Gateway::default().vectord_url, Vectord::default().bind),
        (Gateway::default().embedd_url, Embedd::default().bind),
    ];
    for ((url, bind), port) in ports.into_iter().zip(3211..) {
        assert_eq!(bind.port(), port);
        assert_eq!(url.base(), format!("http://{bind}"));
    }
}

#[test]
fn flags_beat_environment_beats_file() {
    let mut sources = file("[gateway]\nbind = \"127.0.0.1:1\"\n[log]\nlevel = \"warn\"\n[s3]\nregion = \"r\"");
    sources.env =
        pairs(&[("LAKEHOUSE_GATEWAY__BIND", "127.0.0.1:2"), ("LAKEHOUSE_LOG__LEVEL", "debug"), ("PATH", "/")]);
    sources.flags = pairs(&[("gateway.bind", "127.0.0.1:3")]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.gateway.bind.port(), 3);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.s3.region, "r");
}

#[test]
fn every_bad_key_is_reported_at_once() {
    let mut sources = file(
        "top = 1\n[gateway]\nbind = 5\nstoraged_url = \"127.0.0.1:3211\"\nbnd = \"x\"\n[nosuch]\na = 1\n[limits]\nmax_connections = -1",
    );
    sources.env = pairs(&[("LAKEHOUSE_QUERYD__TIMEOUT_SECONDS", "soon"), ("LAKEHOUSE_CONFIG", "x")]);
    sources.flags = pairs(&[("auth.tokn", "x"), ("nodot", "x")]);
    let mut keys = problem_keys(&sources);
    keys.sort();
    let expected = [
        "auth.tokn",
        "gateway.bind",
        "gateway.bnd",
        "gateway.storaged_url",
        "limits.max_connections",
        "nodot",
        "nosuch",
        "queryd.timeout_seconds",
        "top",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_slip_is_answered_with_the_nearest_key() {
    let error = Config::load(&file("[auth]\ntokn = \"x\"")).unwrap_err();
    assert!(error.to_string().contains("did you mean `token`"), "{error}");
}

#[test]
fn a_url_without_scheme_is_named_as_such() {
    for text in ["127.0.0.1:3211", "localhost:3211", "storaged"] {
        let error = ServiceUrl::new(text).unwrap_err();
        assert!(error.contains("has no scheme"), "{text}: {error}");
    }
    for text in ["", "ftp://a", "http://", "http://a?b", "http://a#b", "http://u:p@a"] {
        assert!(ServiceUrl::new(text).is_err(), "{text} passed");
    }
    assert_eq!(ServiceUrl::new("http://a:1/x/").map(|u| u.base().to_owned()), Ok("http://a:1/x".to_owned()));
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "hunter2\n").unwrap();
    let mut sources = Sources { flags: pairs(&[("auth.token_file", path.to_str().unwrap())]), ..Sources::default() };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.auth.token.expose(), "hunter2");
    assert!(!config.show().contains("hunter2"));
    assert!(config.show().contains("token = \"***\""));
    assert!(!format!("{config:?}").contains("hunter2"));

    std::fs::write(&path, " \n").unwrap();
    assert_eq!(problem_keys(&sources), ["auth.token_file"], "an empty file must not mean: no token");
    sources.flags = pairs(&[("auth.token_file", "/nonexistent/token")]);
    assert_eq!(problem_keys(&sources), ["auth.token_file"]);
    sources.flags = pairs(&[("auth.token", "two words")]);
    assert_eq!(problem_keys(&sources), ["auth.token"]);
}

#[test]
fn each_service_reads_its_own_secrets_and_the_token() {
    let keys = [
        "auth.token_file",
        "gateway.chat_token_file",
        "embedd.api_key_file",
        "s3.access_key_id_file",
        "s3.secret_access_key_file",
    ];
    // Every key that names a secret's file is there.
    let full: toml::Table = Config::default().show().parse().unwrap();
    let named = full.iter().flat_map(|(section, keys)| {
        keys.as_table().unwrap().keys().filter(|key| key.ends_with("_file")).map(move |key| format!("{section}.{key}"))
    });
    let (mut named, mut expected): (Vec<String>, _) = (named.collect(), keys.map(str::to_owned));
    named.sort();
    expected.sort();
    assert_eq!(named, expected);

    let missing = Sources { flags: pairs(&keys.map(|key| (key, "/nonexistent/secret"))), ..Sources::default() };
    assert_eq!(problem_keys(&missing), keys);
    let owned: [(&str, &[usize]); 9] = [
        ("gateway", &[0, 1]),
        ("storaged", &[0, 3, 4]),
        ("catalogd", &[0]),
        ("ingestd", &[0]),
        ("queryd", &[0]),
        ("vectord", &[0]),
        ("embedd", &[0, 2]),
        ("materializer", &[0]),
        ("replay", &[0]),
    ];
    for (service, expected) in owned {
        let problems = Config::load_for(service, &missing).unwrap_err().problems;
        let found: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(found, expected.iter().map(|key| keys[*key]).collect::<Vec<_>>(), "{service}");
    }

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "hunter2\n").unwrap();
    let there = pairs(&[("s3.secret_access_key_file", path.to_str().unwrap())]);
    let config = |service| Config::load_for(service, &Sources { flags: there.clone(), ..Sources::default() }).unwrap();
    assert_eq!(config("storaged").s3.secret_access_key.expose(), "hunter2");
    assert!(config("queryd").s3.secret_access_key.is_empty());
}

#[test]
fn the_jobs_have_sections_like_the_services() {
    let mut sources = file("[replay]\nmodels = [\"a\"]\nk = 7\n[materializer]\nroot = \"/logs\"\nstrict = true");
    sources.env = pairs(&[("LAKEHOUSE_REPLAY__MODELS", "b, c"), ("LAKEHOUSE_MATERIALIZER__DRIFT_BUCKETS", "20")]);
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.replay.models, config.replay.k), (vec!["b".to_owned(), "c".to_owned()], 7));
    assert_eq!((config.materializer.strict, config.materializer.drift_buckets), (true, 20));
    let bad = "[replay]\nk = 101\ntimeout_seconds = 0\n[materializer]\ndrift_buckets = 0";
    assert_eq!(problem_keys(&file(bad)), ["materializer.drift_buckets", "replay.timeout_seconds", "replay.k"]);
    assert_eq!(
        problem_keys(&file("[replay]\nmodel = \"typo\"\n[materializer]\nstrict = 1")),
        ["materializer.strict", "replay.model"]
    );
}

#[test]
fn vectord_may_go_without_a_store() {
    let config = Config::load(&file("[vectord]\nstoraged_url = \"\"")).unwrap();
    assert_eq!(config.vectord.storaged_url, None);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let shown = Config::default().show();
    assert_eq!(Config::load(&file(&shown)).unwrap(), Config::default());
}

#[test]
fn broken_toml_is_one_clear_problem() {
    assert_eq!(problem_keys(&file("[gateway\n")), ["file"]);
    let error = Config::load(&file("[embedd]\napi_key = \"hunter2\" x\n")).unwrap_err().to_string();
    assert!(error.contains("line 2: ") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_problem_is_one_line_whatever_is_in_it() {
    let error = Config::load(&file("\"a\\nb\" = 1\n[queryd]\nbind = \"\\r\\n\"")).unwrap_err();
    assert_eq!((error.problems.len(), error.to_string().lines().count()), (2, 2), "{error}");
}

#[test]
fn numbers_are_the_same_in_a_file_and_on_a_flag() {
    assert_eq!(u64::from_text("9_223_372_036_854_775_807"), Ok(i64::MAX.unsigned_abs()));
    for text in ["9223372036854775808", "-1", "1.0", "", "_"] {
        assert!(u64::from_text(text).is_err(), "{text}");
    }
}
