#if canImport(CoreML)
    import Foundation

    extension NetworkDescription {
        /// A bundle as Core ML runs it.
        ///
        /// - Throws: `BundleError` or a file's error: the bundle's files cannot be read any more.
        public init(_ bundle: ModelBundle, units: ComputeUnits) throws {
            let files = Set(bundle.manifest.subgraphs.flatMap(\.sha256.keys))
            let sizes = try files.map { name in
                let file = bundle.folder.appendingPathComponent(name).resolvingSymlinksInPath()
                return try FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int ?? 0
            }
            let system = ProcessInfo.processInfo.operatingSystemVersion
            self.init(
                bundle.manifest,
                runtime: Runtime(
                    name: "Core ML",
                    version: "\(system.majorVersion).\(system.minorVersion).\(system.patchVersion)",
                    computeUnits: units.rawValue),
                bytes: sizes.reduce(0, +),
                sha256: try fileSHA256(bundle.folder.appendingPathComponent(ModelBundle.manifestName)))
        }
    }
#endif
