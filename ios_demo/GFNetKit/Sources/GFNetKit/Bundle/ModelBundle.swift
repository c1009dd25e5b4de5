import Foundation

/// A bundle on disk: a folder with one exported network and its `manifest.json`, read and verified.
public struct ModelBundle: Sendable {
    /// The file that describes a bundle.
    public static let manifestName = "manifest.json"
    /// Of a Core ML package: which of its files is the model.  Rewritten, with other identifiers, when it is loaded.
    private static let packageList = "Manifest.json"

    /// Where it lies.
    public let folder: URL
    public let manifest: Manifest

    /// Reads a bundle and checks every file against its digest.
    ///
    /// - Throws: ``BundleError``: it is missing, of another schema version, inconsistent, incomplete or altered, a file
    ///   in it is a link that leads out of it, or a package in it holds more than the manifest says.
    public static func open(_ folder: URL) throws -> ModelBundle {
        guard itemType(folder.path) == .typeDirectory else {
            throw BundleError(
                path: folder.path, expectation: "no such bundle folder",
                remedy: "export a network there, or correct the path")
        }
        let file = folder.appendingPathComponent(manifestName, isDirectory: false)
        guard itemType(file.path) == .typeRegular else {
            throw BundleError(
                path: folder.path, expectation: "no \(manifestName) in this folder",
                remedy: "`gfnet export` makes a bundle")
        }
        try check(file, in: folder)
        let bundle = ModelBundle(folder: folder, manifest: try readManifest(file))
        for (name, digest) in bundle.digests {
            let file = folder.appendingPathComponent(name, isDirectory: false)
            try check(file, in: folder)
            let found: String
            do {
                found = try fileSHA256(file)
            } catch {
                throw unreadable(file.path, error.localizedDescription)
            }
            guard found == digest else {
                throw BundleError(
                    path: file.path, expectation: "differs from the manifest's digest",
                    remedy: "copy the bundle or export it again")
            }
        }
        try bundle.checkPackages()
        return bundle
    }

    /// A manifest alone, without a look at the files that it names.
    ///
    /// - Throws: ``BundleError``.
    public static func readManifest(_ file: URL) throws -> Manifest {
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            bytes = try Array(handle.read(upToCount: Limits.manifestBytes + 1) ?? Data())
        } catch {
            throw unreadable(file.path, error.localizedDescription)
        }
        return try manifest(bytes, path: file.path)
    }

    /// A subgraph's file or package.
    public func url(of subgraph: Subgraph) -> URL {
        folder.appendingPathComponent(subgraph.path)
    }

    /// Every file and a digest that it must have, in order; subgraphs may share some.
    private var digests: [(name: String, digest: String)] {
        let all = Set(manifest.subgraphs.flatMap { graph in graph.sha256.map { [$0.key, $0.value] } })
        return all.map { ($0[0], $0[1]) }.sorted { $0 < $1 }
    }

    static func manifest(_ bytes: [UInt8], path: String) throws -> Manifest {
        guard bytes.count <= Limits.manifestBytes else {
            throw BundleError(path: path, expectation: "too large for a manifest", remedy: "export the bundle again")
        }
        do {
            let content = try JSONParser.parse(bytes)
            // Before all else, as another version may look different in any way.
            guard case .integer(Manifest.version)? = content.member("schema_version") else {
                throw BundleError(
                    path: path,
                    expectation: "schema version \(told(content.member("schema_version"))), but this release reads "
                        + "\(Manifest.version)",
                    remedy: "export the bundle again or use the release that wrote it")
            }
            guard !content.hasTooMuch else {
                throw BundleError(
                    path: path, expectation: "has more values than a manifest can have",
                    remedy: "export the bundle again")
            }
            let manifest = try Manifest(from: StrictDecoder(content))
            if let told = manifest.digest, ownSHA256(bytes, told: told) != told {
                throw BundleError(
                    path: path, expectation: "altered, as it differs from its own digest",
                    remedy: "copy the bundle or export it again")
            }
            return manifest
        } catch let error as JSONError {
            throw BundleError(path: path, expectation: "not JSON (\(error))", remedy: "copy the bundle again")
        } catch let error as DecodingError {
            throw BundleError(
                path: path, expectation: error.placeAndReason("manifest"), remedy: "export the bundle again")
        }
    }

    private static func told(_ version: JSONValue?) -> String {
        switch version {
        case .integer(let number)?: String(number)
        case .real(let number)?: String(number)
        case let other?: other.kind
        case nil: "missing"
        }
    }

    /// Refuses what is not a file, and what a link fetches from elsewhere.
    private static func check(_ file: URL, in folder: URL) throws {
        guard let home = resolved(folder.path), let found = resolved(file.path) else {
            guard errno == ENOENT || errno == ENOTDIR else {
                throw unreadable(file.path, String(cString: strerror(errno)))
            }
            throw BundleError(
                path: file.path, expectation: "named in the manifest, but missing",
                remedy: "copy the whole bundle again")
        }
        let within = home == "/" ? home : home + "/"
        guard found.utf8.starts(with: within.utf8) else {
            throw BundleError(
                path: file.path, expectation: "a link that leads out of the bundle", remedy: "put the file itself there"
            )
        }
        guard itemType(found) == .typeRegular else {
            throw BundleError(
                path: file.path, expectation: "named in the manifest, but not a file",
                remedy: "copy the whole bundle again")
        }
    }

    /// A path without links; `nil`, and `errno` says why, where it leads to nothing.
    private static func resolved(_ path: String) -> String? {
        guard let found = realpath(path, nil) else { return nil }
        defer { free(found) }
        return String(cString: found)
    }

    /// Refuses files without a digest inside of packages: a package's own list, which has none, could name them.
    private func checkPackages() throws {
        let named = Set(digests.map { Array($0.name.utf8) })
        for package in Set(manifest.subgraphs.map(\.path)).sorted() {
            let root = folder.appendingPathComponent(package).path
            guard let found = Self.resolved(root), Self.itemType(found) == .typeDirectory,
                let items = FileManager.default.enumerator(atPath: found)
            else { continue }
            while let item = items.nextObject() as? String {
                if items.fileAttributes?[.type] as? FileAttributeType == .typeDirectory { continue }
                let name = "\(package)/\(item)"
                if item.isSpelled(Self.packageList) {
                    try Self.check(folder.appendingPathComponent(name, isDirectory: false), in: folder)
                } else if !named.contains(Array(name.utf8)) {
                    throw BundleError(
                        path: folder.path, expectation: "\(name) has no digest in the manifest",
                        remedy: "remove it or copy the bundle again")
                }
            }
        }
    }

    /// What lies behind a path's links.
    private static func itemType(_ path: String) -> FileAttributeType? {
        guard let found = resolved(path) else { return nil }
        return try? FileManager.default.attributesOfItem(atPath: found)[.type] as? FileAttributeType
    }

    private static func unreadable(_ path: String, _ reason: String) -> BundleError {
        BundleError(
            path: path, expectation: "cannot be read (\(reason))",
            remedy: "check its permissions or copy the bundle again")
    }
}

extension JSONValue {
    /// Whether it has more values than a manifest, the labels apart, can have.
    fileprivate var hasTooMuch: Bool {
        guard case .object(let members) = self else { return false }
        if case .array(let labels)? = member("labels"), labels.count > Limits.classes { return true }
        var waiting = members.filter { !$0.name.isSpelled("labels") }.map(\.value)
        var count = waiting.count
        while count <= Limits.values, let value = waiting.popLast() {
            let inside: [JSONValue]
            switch value {
            case .array(let values): inside = values
            case .object(let members): inside = members.map(\.value)
            default: continue
            }
            count += inside.count
            waiting += inside
        }
        return count > Limits.values
    }
}

/// A bundle is missing, incomplete, altered or of another version.
public struct BundleError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// The file or folder in question.
    public let path: String
    /// What it should have been, or what it is instead.
    public let expectation: String
    /// What to do.
    public let remedy: String

    public init(path: String, expectation: String, remedy: String) {
        self.path = path
        self.expectation = expectation
        self.remedy = remedy
    }

    /// One line.
    public var description: String { "\(path.oneLine): \(expectation.oneLine); \(remedy)" }
    public var errorDescription: String? { description }
}
