import Foundation
import Testing

@testable import GFNetKit

/// A bundle in a folder of its own, with small files in place of networks.
private final class Scratch {
    let folder: URL
    let outside: URL

    init() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        folder = root.appendingPathComponent("bundle")
        outside = root.appendingPathComponent("outside.onnx")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data("elsewhere".utf8).write(to: outside)
        var text = String(decoding: try Fixtures.bytes("manifest.json"), as: UTF8.self)
        for graph in try Fixtures.manifest().subgraphs {
            try Data(graph.name.utf8).write(to: file(graph.path))
            let old = try #require(graph.sha256[graph.path])
            text = text.replacingOccurrences(of: old, with: try fileSHA256(file(graph.path)))
        }
        try Data(text.utf8).write(to: file(ModelBundle.manifestName))
    }

    deinit { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }

    func file(_ name: String) -> URL { folder.appendingPathComponent(name) }

    /// What opening it says.
    func refusal() -> String? {
        do {
            _ = try ModelBundle.open(folder)
            return nil
        } catch {
            return "\(error)"
        }
    }
}

@Test func aWholeBundleOpens() throws {
    let scratch = try Scratch()
    let bundle = try ModelBundle.open(scratch.folder)
    let glance = try #require(bundle.manifest.subgraph(.glance, step: 1))
    #expect(bundle.url(of: glance).path == scratch.file("glance.onnx").path)
}

@Test func aBundleMayLieBehindALink() throws {
    let scratch = try Scratch()
    let link = scratch.folder.deletingLastPathComponent().appendingPathComponent("link")
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: scratch.folder)
    #expect(try ModelBundle.open(link).manifest.steps == 3)
}

@Test func aMissingFolderAndAMissingManifestAreNamed() throws {
    let scratch = try Scratch()
    try FileManager.default.removeItem(at: scratch.file("manifest.json"))
    #expect(
        scratch.refusal() == "\(scratch.folder.path): no manifest.json in this folder; `gfnet export` makes a bundle")
    try FileManager.default.removeItem(at: scratch.folder)
    #expect(try #require(scratch.refusal()).contains("no such bundle folder"))
}

@Test func anAlteredFileIsNamed() throws {
    let scratch = try Scratch()
    try Data("altered".utf8).write(to: scratch.file("policy.onnx"))
    #expect(
        scratch.refusal()
            == "\(scratch.file("policy.onnx").path): differs from the manifest's digest; copy the bundle or export it again"
    )
}

@Test func aMissingFileIsNamed() throws {
    let scratch = try Scratch()
    try FileManager.default.removeItem(at: scratch.file("focus_3.onnx"))
    #expect(try #require(scratch.refusal()).contains("focus_3.onnx: named in the manifest, but missing"))
}

@Test func aLinkThatLeadsOutIsRefusedAndOneThatStaysIsNot() throws {
    let scratch = try Scratch()
    let file = scratch.file("glance.onnx")
    try FileManager.default.moveItem(at: file, to: scratch.file("kept.onnx"))
    try FileManager.default.createSymbolicLink(at: file, withDestinationURL: scratch.file("kept.onnx"))
    #expect(scratch.refusal() == nil)
    try FileManager.default.removeItem(at: file)
    try FileManager.default.createSymbolicLink(at: file, withDestinationURL: scratch.outside)
    #expect(try #require(scratch.refusal()).contains("a link that leads out of the bundle"))
}

@Test func whatIsNoRegularFileIsRefused() throws {
    let scratch = try Scratch()
    let file = scratch.file("glance.onnx")
    try FileManager.default.removeItem(at: file)
    try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
    #expect(try #require(scratch.refusal()).contains("but not a file"))
    try FileManager.default.removeItem(at: file)
    try #require(mkfifo(file.path, 0o600) == 0)
    #expect(try #require(scratch.refusal()).contains("but not a file"))  // and does not wait for a writer
}

@Test func aLoopOfLinksIsUnreadable() throws {
    let scratch = try Scratch()
    let file = scratch.file("glance.onnx")
    try FileManager.default.removeItem(at: file)
    try FileManager.default.createSymbolicLink(at: file, withDestinationURL: file)
    #expect(try #require(scratch.refusal()).contains("cannot be read"))
}
