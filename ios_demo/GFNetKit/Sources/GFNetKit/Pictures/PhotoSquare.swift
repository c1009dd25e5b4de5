#if canImport(ImageIO)
    import CoreGraphics
    import Foundation
    import ImageIO

    /// Photos as squares of the size that a network takes, with Core Graphics: antialiased, in sRGB, upright, transparent
    /// ones over white.
    ///
    /// Colours are converted from the photo's own space as the canvas is drawn, which is sRGB as in `gfnet.colour`.  Its
    /// filter is not quite Pillow's: pixels differ by a few levels, as they do between any two photo libraries.
    public enum PhotoSquare {
        /// - Parameters:
        ///   - content: of a photo's file, in any format that the system reads.
        ///   - name: for messages.
        /// - Throws: `PhotoError`: it is not an image, or its size is not one of those that `PhotoRules` allows.
        public static func square(
            of content: Data, name: String, _ preprocessing: Preprocessing
        ) throws -> PixelSquare {
            try square(of: image(content, name), name: name, preprocessing)
        }

        /// Likewise, of a picture that is upright already.
        public static func square(
            of image: CGImage, name: String, _ preprocessing: Preprocessing
        ) throws -> PixelSquare {
            try PhotoRules.check(width: image.width, height: image.height, name: name)
            let place = CentreSquare(width: image.width, height: image.height, preprocessing)
            let side = place.side
            guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                let context = CGContext(
                    data: nil, width: side, height: side, bitsPerComponent: 8, bytesPerRow: 4 * side, space: space,
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { throw PhotoError("\(name): no memory for a square of \(side) pixels; close other apps") }
            context.setFillColor(gray: 1, alpha: 1)
            context.fill(place.canvas)  // what lies beside the photo stays black
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
            guard let source = CGImageSourceCreateWithData(content as CFData, nil) else {
                throw PhotoError("\(name): not a photo that this system reads; try another one")
            }
            let index = CGImageSourceGetPrimaryImageIndex(source)
            guard let properties = CGImageSourceCopyPropertiesAtIndex(source, index, nil) as? [String: Any],
                let width = properties[kCGImagePropertyPixelWidth as String] as? Int,
                let height = properties[kCGImagePropertyPixelHeight as String] as? Int
            else { throw PhotoError("\(name): not a photo that this system reads; try another one") }
            try PhotoRules.check(width: width, height: height, name: name)
            let options: [CFString: Any] = [
                kCGImageSourceCreateThumbnailFromImageAlways: true,
                kCGImageSourceCreateThumbnailWithTransform: true,
                kCGImageSourceThumbnailMaxPixelSize: max(width, height),
            ]
            guard let image = CGImageSourceCreateThumbnailAtIndex(source, index, options as CFDictionary) else {
                throw PhotoError("\(name): the photo is damaged; try another one")
            }
            return image
        }
    }
#endif
