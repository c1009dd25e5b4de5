#if canImport(CoreML)
    import CoreML
    import CoreVideo
    import Foundation

    /// The input that takes pixels, in memory that every call uses again: planes of floats, or a picture.
    final class PixelInput {
        private let side: Int
        private let memory: Memory

        private enum Memory {
            case planes(MLMultiArray)
            case picture(CVPixelBuffer)
        }

        /// - Parameter spec: of an input `[1, 3, P, P]`.
        /// - Throws: `CoreMLError`: there is no memory.
        init(_ spec: TensorSpec) throws {
            side = spec.shape[3]
            if spec.kind == .image {
                var buffer: CVPixelBuffer?
                // The layout that the Neural Engine and the GPU share memory in.
                let attributes = [kCVPixelBufferIOSurfacePropertiesKey: [:] as [String: Any]] as [CFString: Any]
                let status = CVPixelBufferCreate(
                    nil, side, side, kCVPixelFormatType_32BGRA, attributes as CFDictionary, &buffer)
                guard status == kCVReturnSuccess, let buffer else {
                    throw CoreMLError("no memory for a picture of \(side) pixels (\(status)); close other apps")
                }
                memory = .picture(buffer)
            } else {
                memory = .planes(
                    try MLMultiArray(shape: spec.shape.map { NSNumber(value: $0) }, dataType: .float32))
            }
        }

        /// The input with a glance; good until the next call.
        func filled(with square: PixelSquare, by resize: GlanceResize) throws -> MLFeatureValue {
            switch memory {
            case .planes(let array):
                try resize.resize(square, into: values(of: array))
                return MLFeatureValue(multiArray: array)
            case .picture(let buffer):
                let pixels = try resize(square).rounded()
                try pixels.bytes.withUnsafeBufferPointer { try draw($0, rowStride: 3 * side, into: buffer) }
                return MLFeatureValue(pixelBuffer: buffer)
            }
        }

        /// The input with a patch; good until the next call.
        func filled(with patch: PatchView) throws -> MLFeatureValue {
            switch memory {
            case .planes(let array):
                patch.write(into: values(of: array))
                return MLFeatureValue(multiArray: array)
            case .picture(let buffer):
                try patch.withUnsafeBufferPointer { try draw($0, rowStride: patch.rowStride, into: buffer) }
                return MLFeatureValue(pixelBuffer: buffer)
            }
        }

        private func values(of array: MLMultiArray) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(
                start: array.dataPointer.assumingMemoryBound(to: Float.self), count: array.count)
        }

        /// From red, green, blue to blue, green, red and nothing, the one layout that every unit takes.
        private func draw(_ pixels: UnsafeBufferPointer<UInt8>, rowStride: Int, into buffer: CVPixelBuffer) throws {
            guard CVPixelBufferLockBaseAddress(buffer, []) == kCVReturnSuccess else {
                throw CoreMLError("a picture's memory cannot be written; try again")
            }
            defer { CVPixelBufferUnlockBaseAddress(buffer, []) }
            guard let base = CVPixelBufferGetBaseAddress(buffer) else {
                throw CoreMLError("a picture has no memory; try again")
            }
            let lineStride = CVPixelBufferGetBytesPerRow(buffer)
            for row in 0..<side {
                let line = (base + row * lineStride).assumingMemoryBound(to: UInt8.self)
                for column in 0..<side {
                    let from = row * rowStride + 3 * column
                    line[4 * column] = pixels[from + 2]
                    line[4 * column + 1] = pixels[from + 1]
                    line[4 * column + 2] = pixels[from]
                    line[4 * column + 3] = 255
                }
            }
        }
    }
#endif
