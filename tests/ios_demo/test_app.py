"""The app's sources parse, and its Xcode project holds together."""

from __future__ import annotations

import json
import plistlib
from collections import Counter

import pytest

from swift_support import IOS_DEMO, need_swift, run

APP = IOS_DEMO / "GFNetDemo"
SOURCES = sorted((APP / "GFNetDemo").rglob("*.swift"))


@pytest.fixture(scope="module")
def project():
    return plistlib.loads((APP / "GFNetDemo.xcodeproj" / "project.pbxproj").read_bytes())


@pytest.fixture(scope="module")
def objects(project):
    return project["objects"]


def of_kind(objects, isa):
    return [value for value in objects.values() if value["isa"] == isa]


def test_every_source_parses():
    need_swift()
    assert len(SOURCES) > 10
    done = run("swiftc", "-frontend", "-parse", *SOURCES)
    assert done.returncode == 0, done.stderr


def test_screens_ask_for_nothing_from_the_network():
    for path in SOURCES:
        text = path.read_text()
        assert not any(word in text for word in ("URLSession", "import Network", "http://", "https://")), path


def test_every_reference_of_the_project_leads_somewhere(project, objects):
    known = set(objects)
    assert project["rootObject"] in known
    for value in objects.values():
        for name, field in value.items():
            if name in ("children", "files", "buildPhases", "targets", "buildConfigurations", "packageReferences"):
                assert set(field) <= known, (value["isa"], name)
            if name in ("fileRef", "productRef", "buildConfigurationList", "mainGroup", "package", "productReference"):
                assert field in known, (value["isa"], name)


def test_every_file_that_the_project_names_exists(objects):
    def walk(group, folder):
        for key in group["children"]:
            child = objects[key]
            if child["sourceTree"] == "BUILT_PRODUCTS_DIR":
                continue
            path = folder / child["path"] if "path" in child else folder
            assert path.exists(), path
            if child["isa"] == "PBXGroup":
                walk(child, path)

    (root,) = of_kind(objects, "PBXProject")
    walk(objects[root["mainGroup"]], APP)
    (package,) = of_kind(objects, "XCLocalSwiftPackageReference")
    assert (APP / package["relativePath"] / "Package.swift").is_file()
    for configuration in of_kind(objects, "XCBuildConfiguration"):
        plist = configuration["buildSettings"].get("INFOPLIST_FILE")
        assert plist is None or (APP / plist).is_file()


def test_every_source_is_compiled_once_and_the_network_s_folder_is_copied(objects):
    def files(phase):
        (found,) = of_kind(objects, phase)
        return [objects[objects[key]["fileRef"]]["path"] for key in found["files"]]

    assert Counter(files("PBXSourcesBuildPhase")) == Counter(path.name for path in SOURCES)
    assert set(files("PBXResourcesBuildPhase")) == {"Assets.xcassets", "Network"}
    (folder,) = (value for value in of_kind(objects, "PBXFileReference") if value["path"] == "Network")
    assert folder["lastKnownFileType"] == "folder"  # copied as it is, its packages uncompiled


def test_the_app_says_why_it_wants_the_camera_and_runs_from_ios_16(objects):
    info = plistlib.loads((APP / "GFNetDemo" / "Info.plist").read_bytes())
    assert info["NSCameraUsageDescription"]
    targets = {
        value["buildSettings"].get("IPHONEOS_DEPLOYMENT_TARGET") for value in of_kind(objects, "XCBuildConfiguration")
    }
    assert targets == {"16.0", None}


def test_asset_catalogs_are_sound():
    found = sorted((APP / "GFNetDemo" / "Assets.xcassets").rglob("Contents.json"))
    assert len(found) == 3
    for path in found:
        assert json.loads(path.read_text())["info"]["version"] == 1
