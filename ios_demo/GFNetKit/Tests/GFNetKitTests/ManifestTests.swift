import Foundation
import Testing

@testable import GFNetKit

@Test func aManifestOfPythonIsReadWhole() throws {
    let manifest = try Fixtures.manifest()
    #expect(manifest.format == .onnx)
    #expect(manifest.layout == .split)
    #expect(manifest.compression == Manifest.Compression.none)
    #expect(manifest.calibration == nil)
    #expect((manifest.steps, manifest.patchSize, manifest.preprocessing.imageSize) == (3, 40, 120))
    #expect(manifest.preprocessing.glanceInterpolation == .bicubic)
    #expect(manifest.numClasses == 10)
    #expect(manifest.label(0) == "arrow")
    #expect(manifest.label(99) == "99")
    #expect(manifest.stepMacs.count == 3)
    #expect(!manifest.budgets.isEmpty)
    #expect(manifest.budgets.allSatisfy { $0.thresholds.count == 3 && $0.top1 != nil })
    let policy = try #require(manifest.subgraph(.policy, step: 3))
    #expect(policy.steps == [2, 3])
    #expect(policy.inputs.map(\.name) == ["feature_map", "hidden"])
    #expect(manifest.subgraph(.step, step: 2) == nil)
}

@Test func aManifestThatIsWrittenAndReadAgainIsTheSame() throws {
    let manifest = try Fixtures.manifest()
    let written = try Array(JSONEncoder().encode(manifest))
    #expect(try ModelBundle.manifest(written, path: "again") == manifest)
}

@Test func aManifestThatDiffersFromItsOwnDigestIsRefused() throws {
    let zeros = String(repeating: "0", count: 64)
    let mark = "\"schema_version\": 1, \"digest\": \"\(zeros)\""
    let open = try Fixtures.manifest(replacing: "\"schema_version\": 1", with: mark)
    let told = ownSHA256(open, told: zeros)
    let text = String(decoding: open, as: UTF8.self).replacingOccurrences(of: zeros, with: told)
    #expect(try ModelBundle.manifest(Array(text.utf8), path: "m").digest == told)
    for (old, new) in [("arrow", "Arrow"), ("0.485", "0.486"), (told, zeros), ("\n", " \n")] {
        let bytes = Array(text.replacingOccurrences(of: old, with: new).utf8)
        let error = #expect(throws: BundleError.self) { try ModelBundle.manifest(bytes, path: "m") }
        #expect(error?.expectation == "altered, as it differs from its own digest")
    }
}

@Test func unknownLabelsAreWrittenAsNull() throws {
    let text = String(decoding: try Fixtures.bytes("manifest.json"), as: UTF8.self)
    let start = try #require(text.range(of: "\"labels\": [")).lowerBound
    let end = try #require(text.range(of: "]", range: start..<text.endIndex)).upperBound
    let manifest = try ModelBundle.manifest(
        Array(text.replacingCharacters(in: start..<end, with: "\"labels\": null").utf8), path: "unlabelled")
    #expect(manifest.labels == nil)
    #expect(manifest.label(3) == "3")
    #expect(try ModelBundle.manifest(Array(JSONEncoder().encode(manifest)), path: "again") == manifest)
}

/// Each with a piece of the message that says what is wrong.
@Test(arguments: [
    ("\"schema_version\": 1", "\"schema_version\": 2", "schema version 2, but this release reads 1"),
    ("\"schema_version\": 1", "\"schema_version\": 1.0", "schema version 1.0"),
    ("\"schema_version\": 1", "\"schema_version\": true", "schema version a truth value"),
    ("\"schema_version\": 1,", "", "schema version missing"),
    ("\"patch_size\": 40", "\"patch_size\": 40.0", "patch_size: must be an integer, not a number"),
    ("\"patch_size\": 40", "\"patch_size\": 121", "image_size 120 is smaller than patch_size 121"),
    ("\"patch_size\": 40", "\"patch_size\": 41", "but it must be [1, 3, 41, 41]"),
    ("\"steps\": 3", "\"steps\": 4", "step_macs has 3 values for 4 steps"),
    ("\"steps\": 3", "\"steps\": 0", "steps: must be 1 ... 64, not 0"),
    ("\"num_classes\": 10", "\"num_classes\": 11", "10 labels for 11 classes"),
    ("\"precision\": \"fp32\"", "\"precision\": \"fp8\"", "precision: "),
    ("\"precision\": \"fp32\"", "\"precision\": \"int8\"", "calibration belongs to 8-bit activations"),
    ("\"format\": \"onnx\"", "\"format\": \"onnx\", \"layout\": \"multifunction\"", "unknown form"),
    ("\"format\": \"onnx\"", "\"format\": \"onnx\", \"colour\": 1", "colour: is unknown to this release"),
    ("\"exporter\"", "\"exporters\"", "exporters: is unknown"),
    ("\"path\": \"glance.onnx\"", "\"path\": \"../glance.onnx\"", "not a plain relative path inside the bundle"),
    ("\"path\": \"glance.onnx\"", "\"path\": \"policy.onnx\"", "not a part of policy.onnx"),
    ("\"resize_size\": 120", "\"resize_size\": 481", "only 120 are kept"),
    ("0.485", "1e999", "preprocessing.mean: must be finite"),
    ("0.229", "0", "preprocessing.std: must be finite and from"),
    ("\"name\": \"feature_map\"", "\"name\": \"map\"", "nothing before gives it"),
])
func aContradictionIsNamed(old: String, new: String, message: String) throws {
    let bytes = try Fixtures.manifest(replacing: old, with: new)
    let error = #expect(throws: BundleError.self) { try ModelBundle.manifest(bytes, path: "manifest.json") }
    let told = try #require(error).description
    #expect(told.contains(message), "\(told)")
    #expect(told.hasPrefix("manifest.json: ") && !told.contains("\n"))
}

@Test func amountsBeyondAnyManifestAreRefusedBeforeTheyAreLookedAt() throws {
    let rubbish = "\"exporter\": [" + String(repeating: "0,", count: 30_000) + "0], \"x\""
    let bytes = try Fixtures.manifest(replacing: "\"exporter\"", with: rubbish)
    let error = #expect(throws: BundleError.self) { try ModelBundle.manifest(bytes, path: "m") }
    #expect(error?.expectation == "has more values than a manifest can have")
    let large = [UInt8](repeating: 0x20, count: Limits.manifestBytes + 1)
    #expect(throws: BundleError.self) { try ModelBundle.manifest(large, path: "m") }
}
