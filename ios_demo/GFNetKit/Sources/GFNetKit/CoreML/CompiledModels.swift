#if canImport(CoreML)
    import CoreML
    import Foundation

    /// Packages as Core ML compiled them, kept by what they hold, so that only an app's first start compiles.
    struct CompiledModels: Sendable {
        /// A folder that the system may empty at any time.
        let folder: URL

        /// In the app's caches.
        static var shared: CompiledModels {
            let caches = FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first
            return CompiledModels(
                folder: (caches ?? FileManager.default.temporaryDirectory).appendingPathComponent("gfnet-models"))
        }

        /// The compiled form of a subgraph's package; compiles it the first time.
        ///
        /// - Throws: `CoreMLError`: Core ML cannot compile it, or the folder cannot be written.
        func compiled(_ subgraph: Subgraph, at package: URL) async throws -> URL {
            let target = url(of: subgraph)
            let files = FileManager.default
            if files.fileExists(atPath: target.path) { return target }
            let made: URL
            do {
                made = try await MLModel.compileModel(at: package)
            } catch {
                throw CoreMLError(
                    "\(package.path): Core ML cannot compile it (\(error.localizedDescription)); "
                        + "export it for this system, see `gfnet export coreml --target`")
            }
            do {
                try files.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
                try files.moveItem(at: made, to: target)
            } catch {
                // Somebody else's copy is as good.
                guard files.fileExists(atPath: target.path) else {
                    throw CoreMLError("\(target.path): cannot be written (\(error.localizedDescription)); make room")
                }
                try? files.removeItem(at: made)
            }
            return target
        }

        /// Drops a compiled form that cannot be loaded.
        func forget(_ subgraph: Subgraph) {
            try? FileManager.default.removeItem(at: url(of: subgraph))
        }

        /// Where it lies: a folder for the digest of each of the package's files.
        private func url(of subgraph: Subgraph) -> URL {
            let digests = subgraph.sha256.sorted { $0.key < $1.key }.map { String($0.value.prefix(32)) }
            return digests.reduce(folder) { $0.appendingPathComponent($1) }.appendingPathComponent("model.mlmodelc")
        }
    }
#endif
