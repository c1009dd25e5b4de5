#if canImport(ImageIO)
    import Foundation
    import GFNetKit

    extension Reading {
        /// The first photos of a folder and its folders, in the order of their names, as squares.
        ///
        /// - Returns: those that can be read, and a message for each of the others.
        static func photos(
            in folder: URL, atMost limit: Int, _ manifest: Manifest
        ) throws -> (images: [BenchmarkImage], unreadable: [String]) {
            guard let found = FileManager.default.enumerator(atPath: folder.path) else {
                throw UsageError("\(folder.path): no such folder; give one of photos")
            }
            let files = found.compactMap { $0 as? String }
                .filter { PhotoRules.suffixes.contains(URL(fileURLWithPath: $0).pathExtension.lowercased()) }
                .sorted().prefix(limit).map { folder.appendingPathComponent($0) }
            let classes = classes(of: files.map(\.path), labels: manifest.labels)
            var images: [BenchmarkImage] = []
            var unreadable: [String] = []
            for (file, classIndex) in zip(files, classes) {
                do {
                    let square = try PhotoSquare.square(
                        of: Data(contentsOf: file), name: file.path, manifest.preprocessing)
                    images.append(
                        BenchmarkImage(name: shortName(file.path), square: square, classIndex: classIndex))
                } catch {
                    unreadable.append("\(error)")
                }
            }
            return (images, unreadable)
        }
    }
#endif
