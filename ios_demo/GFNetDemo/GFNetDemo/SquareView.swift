import GFNetKit
import SwiftUI

/// The square that the network sees, with the patches that it looked at so far.
struct SquareView: View {
    let square: PixelSquare?
    let frames: [PatchFrame]

    var body: some View {
        ZStack {
            if let image = square?.image {
                Image(decorative: image, scale: 1).resizable().scaledToFit()
                GeometryReader { space in
                    ForEach(frames) { PatchOutline(patch: $0, length: space.size.width) }
                }
            } else {
                RoundedRectangle(cornerRadius: 8).fill(.quaternary)
                Text("Choose a photo or take one").foregroundStyle(.secondary)
            }
        }
        .aspectRatio(1, contentMode: .fit)
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(square == nil ? "No photo yet" : "The photo, with \(frames.count) patches looked at")
    }
}

private struct PatchOutline: View {
    let patch: PatchFrame
    let length: Double

    var body: some View {
        let place = patch.rectangle(in: length)
        Rectangle()
            .strokeBorder(.yellow, lineWidth: 3)
            .overlay(alignment: .topLeading) {
                Text("\(patch.id - 1)").font(.caption.bold()).padding(4).background(.yellow).foregroundColor(.black)
            }
            .frame(width: place.width, height: place.height)
            .position(x: place.midX, y: place.midY)
            .transition(.opacity)
    }
}
