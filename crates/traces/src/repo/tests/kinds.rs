//! Repositories of all kinds.

use super::*;

#[test]
fn a_sparse_checkout_loses_nothing() {
    for cone in [
        &["--cone"][..],
        &["--no-cone"],
        &["--cone", "--sparse-index"],
    ] {
        let ground = Ground::with(&[
            ("in/a", "1\n"),
            ("out/b", "2\n"),
            ("out/deep/c", "3\n"),
            ("top", "4\n"),
        ]);
        ground.git(&[&["sparse-checkout", "set"], cone, &["in"]].concat());
        assert!(!ground.path("out").exists());
        let mut private = ground.begin();
        let head = ground.git(&["rev-parse", "HEAD"]);
        assert_eq!(private.head(), Some(head.trim()), "{cone:?}");
        ground.write("in/a", "5\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["in/a"]);
        // What comes to be there is recorded.
        ground.write("out/b", "6\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["out/b"]);
        ground.write("out/b", "7\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["out/b"]);
        assert!(names(&private).contains(&"out/deep/c".to_owned()));
        // Another selection is no change.
        ground.write("out/b", "2\n");
        ground.write("in/a", "1\n");
        checkpoint(&mut private).unwrap();
        ground.git(&["status"]);
        ground.git(&["sparse-checkout", "set", "out"]);
        assert!(!ground.path("in").exists());
        assert_eq!(checkpoint(&mut private), None, "{cone:?}");
        write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
        private.finish(&ground.folder.bundle()).unwrap();
        let mut private = resume(&ground.folder, &ground.work(), &[]).unwrap();
        assert_eq!(checkpoint(&mut private), None);
    }
}

#[test]
fn shallow_and_partial_clones_begin_without_a_parent() {
    for how in ["--depth=1", "--filter=blob:none"] {
        let origin = Ground::with(&[("a", "1\n"), ("b", "2\n")]);
        origin.write("a", "old\n");
        origin.commit("second");
        origin.write("a", "3\n");
        origin.commit("third");
        origin.git(&["config", "uploadpack.allowFilter", "true"]);
        let ground = Ground::plain();
        let from = format!("file://{}", origin.work().display());
        git(&ground.work(), &["clone", "-q", how, &from, "."]);
        let head = ground.git(&["rev-parse", "HEAD"]);
        let mut private = ground.begin();
        assert_exact(&private);
        let message = private
            .git()
            .line(&["log", "--format=%P %s", private.head().unwrap()])
            .unwrap();
        assert_eq!(message, format!(" start, from {}", head.trim()));
        ground.write("a", "4\n");
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
        ground.finish_whole(private);
        resume(&ground.folder, &ground.work(), &[]).unwrap();
    }
}

#[test]
fn a_sparse_partial_clone_is_recorded_without_what_it_lacks() {
    let origin = Ground::with(&[("in/a", "1\n"), ("out/b", "2\n")]);
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let ground = Ground::plain();
    let from = format!("file://{}", origin.work().display());
    let clone = ["clone", "-q", "--filter=blob:none", "--sparse", &from, "."];
    git(&ground.work(), &clone);
    ground.git(&["sparse-checkout", "set", "in"]);
    let mut private = ground.begin();
    assert_exact(&private);
    ground.write("in/a", "3\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["in/a"]);
    ground.finish_whole(private);
}

#[test]
fn objects_on_another_file_system_are_copied() {
    let Ok(shared) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let mut ground = Ground::with(&[("a", "1\n"), ("b/c", "2\n")]);
    ground.git(&["repack", "-adq"]);
    ground.write("b/c", "loose\n");
    ground.commit("second");
    ground.folder.path = shared.path().join("one");
    std::fs::create_dir(&ground.folder.path).unwrap();
    let mut private = ground.begin();
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.finish_whole(private);
}

#[test]
fn repositories_of_all_kinds_are_recorded() {
    // SHA-256.
    let ground = Ground::plain();
    ground.git(&["init", "-q", "--object-format=sha256"]);
    ground.write("a", "1\n");
    ground.commit("first");
    let mut private = ground.begin();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    assert_eq!(private.head().unwrap().len(), 64);
    std::thread::sleep(Duration::from_millis(50));
    checkpoint(&mut private);
    assert_eq!(checkpoint(&mut private), None);
    ground.finish_whole(private);
    resume(&ground.folder, &ground.work(), &[]).unwrap();

    // A detached HEAD, a start in a subfolder.
    let ground = Ground::with(&[("a", "1\n"), ("b/c", "1\n")]);
    ground.git(&["checkout", "-q", "--detach"]);
    let mut private = begin(&ground.folder, &ground.path("b"), &[]).unwrap();
    ground.write("a", "2\n");
    assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
    ground.finish_whole(private);

    // A linked worktree, and one that borrows its objects.
    for kind in [
        &["worktree", "add", "-q", "../linked"][..],
        &["clone", "-q", "--shared", ".", "../linked"],
    ] {
        let ground = Ground::with(&[("a", "1\n"), ("b/c", "1\n")]);
        ground.git(kind);
        let linked = ground.home.path().join("linked");
        let mut private = begin(&ground.folder, &linked, &[]).unwrap();
        std::fs::remove_dir_all(ground.path(".git")).unwrap();
        std::fs::write(linked.join("a"), "2\n").unwrap();
        assert_eq!(checkpoint(&mut private).unwrap(), ["a"]);
        ground.finish_whole(private);
    }

    // Git directories have no files.
    let ground = Ground::with(&[("a", "1\n")]);
    begin(&ground.folder, &ground.path(".git"), &[]).unwrap_err();
    ground.git(&["clone", "-q", "--bare", ".", "../bare"]);
    let bare = ground.home.path().join("bare");
    let refused = begin(&ground.folder, &bare, &[]).unwrap_err();
    assert!(
        refused.to_string().contains("no files of its own"),
        "{refused}"
    );
    assert!(!ground.folder.git_dir().exists());
}

#[test]
fn commits_of_the_agent_become_parents() {
    let ground = Ground::with(&[("a", "1\n")]);
    let mut private = ground.begin();
    let first = private.head().unwrap().to_owned();
    ground.write("a", "2\n");
    let theirs = ground.commit("of the agent");
    checkpoint(&mut private).unwrap();
    let parents = |private: &Private| {
        private
            .git()
            .line(&["log", "-1", "--format=%P", private.head().unwrap()])
            .unwrap()
    };
    assert_eq!(parents(&private), format!("{first} {theirs}"));
    ground.write("a", "3\n");
    let last = private.head().unwrap().to_owned();
    checkpoint(&mut private).unwrap();
    assert_eq!(parents(&private), last);
    // Rewritten, collected, thrown away: the chain has it all.
    ground.git(&["commit", "-q", "--amend", "-a", "-m", "amended"]);
    ground.git(&["reflog", "expire", "--expire=now", "--all"]);
    ground.git(&["gc", "-q", "--prune=now"]);
    ground.write("a", "4\n");
    checkpoint(&mut private).unwrap();
    // Back to what the chain has.
    ground.git(&["reset", "-q", "--soft", &first]);
    ground.write("a", "5\n");
    let last = private.head().unwrap().to_owned();
    checkpoint(&mut private).unwrap();
    assert_eq!(parents(&private), last);
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("a", "6\n");
    checkpoint(&mut private).unwrap();
    ground.finish_whole(private);
}

#[test]
fn a_shallow_commit_of_the_agent_is_no_parent() {
    let origin = Ground::with(&[("a", "1\n")]);
    origin.write("a", "2\n");
    origin.commit("second");
    let ground = Ground::plain();
    let mut private = ground.begin();
    let from = format!("file://{}", origin.work().display());
    git(&ground.work(), &["clone", "-q", "--depth=1", &from, "."]);
    checkpoint(&mut private).unwrap();
    ground.write("a", "3\n");
    checkpoint(&mut private).unwrap();
    ground.finish_whole(private);
}

#[test]
fn many_loose_objects_become_ours_beside_the_recording() {
    let ground = Ground::empty();
    for number in 0..1500 {
        ground.write(&format!("{}/{number}", number % 40), format!("{number}"));
    }
    ground.commit("first");
    let mut private = ground.begin();
    let alternates = ground.folder.git_dir().join("objects/info/alternates");
    for _ in 0..600 {
        if std::fs::read_to_string(&alternates).unwrap() == "../fresh\n" {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_dir_all(ground.path(".git")).unwrap();
    ground.write("1/1", "other");
    assert_eq!(checkpoint(&mut private).unwrap(), ["1/1"]);
    ground.finish_whole(private);
}

#[test]
fn a_damaged_list_of_submodules_does_no_harm() {
    let ground = Ground::with(&[(".gitmodules", "damaged"), ("a", "1\n")]);
    let inside = ground.path("inside");
    std::fs::create_dir(&inside).unwrap();
    git(&inside, &["init", "-q"]);
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let mut private = ground.begin();
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(checkpoint(&mut private).unwrap(), ["inside"]);
    // One that wants changes to be hidden is not obeyed either.
    ground.write(
        ".gitmodules",
        "[submodule \"i\"]\n\tpath = inside\n\tignore = all\n",
    );
    git(&inside, &["commit", "-q", "--allow-empty", "-m", "three"]);
    assert_eq!(checkpoint(&mut private).unwrap(), [".gitmodules", "inside"]);
    write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
    private.finish(&ground.folder.bundle()).unwrap();
}
