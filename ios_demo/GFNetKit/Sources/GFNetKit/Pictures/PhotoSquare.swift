#if canImport(ImageIO)
    import CoreGraphics
    import Foundation
    import ImageIO

    /// Photos as squares of the size that a network takes, with Core Graphics: antialiased, in sRGB, upright.
    ///
    /// Its filter is not quite Pillow's: pixels differ by a few levels, as they do between any two photo libraries.
    public enum PhotoSquare {
        /// A photo's aspect beyond which resizing all of it would take memory out of proportion.
        private static let longestAspect = 64

        /// - Parameters:
        ///   - content: of a photo's file, in any format that the system reads.
        ///   - name: for messages.
        /// - Throws: `PhotoError`: it is none, or out of all proportion.
        public static func square(
            of content: Data, name: String, _ preprocessing: Preprocessing
        ) throws -> PixelSquare {
            try square(of: image(content, name), name: name, preprocessing)
        }

        /// Likewise, of a picture that is upright already.
        public static func square(
            of image: CGImage, name: String, _ preprocessing: Preprocessing
        ) throws -> PixelSquare {
            guard max(image.width, image.height) <= longestAspect * min(image.width, image.height) else {
                throw PhotoError("\(name): \(image.width) x \(image.height) pixels are a line; crop it to a picture")
            }
            let place = CentreSquare(width: image.width, height: image.height, preprocessing)
            let side = place.side
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let context = CGContext(
                    data: nil, width: side, height: side, bitsPerComponent: 8, bytesPerRow: 4 * side, space: space,
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { throw PhotoError("\(name): no memory for a square of \(side) pixels; close other apps") }
            context.interpolationQuality = .high
            context.draw(image, in: place.canvas)
            guard let data = context.data else { throw PhotoError("\(name): cannot be drawn; try another photo") }
            let pixels = UnsafeRawBufferPointer(start: data, count: context.bytesPerRow * side)
            var bytes = [UInt8]()
            bytes.reserveCapacity(3 * side * side)
            for row in 0..<side {
                for column in 0..<side {
                    let from = row * context.bytesPerRow + 4 * column
                    bytes.append(pixels[from])
                    bytes.append(pixels[from + 1])
                    bytes.append(pixels[from + 2])
                }
            }
            return PixelSquare(side: side, bytes: bytes)
        }

        /// A photo at full size, turned upright.
        private static func image(_ content: Data, _ name: String) throws -> CGImage {
            guard let source = CGImageSourceCreateWithData(content as CFData, nil),
                let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [String: Any],
                let width = properties[kCGImagePropertyPixelWidth as String] as? Int,
                let height = properties[kCGImagePropertyPixelHeight as String] as? Int
            else { throw PhotoError("\(name): no photo that this system reads; try another one") }
            let options: [CFString: Any] = [
                kCGImageSourceCreateThumbnailFromImageAlways: true,
                kCGImageSourceCreateThumbnailWithTransform: true,
                kCGImageSourceThumbnailMaxPixelSize: max(width, height),
            ]
            guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary) else {
                throw PhotoError("\(name): the photo is damaged; try another one")
            }
            return image
        }
    }
#endif
