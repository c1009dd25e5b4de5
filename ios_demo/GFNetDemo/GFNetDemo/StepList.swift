import GFNetKit
import SwiftUI

/// What the network said after each step.
struct StepList: View {
    let captions: [StepCaption]
    let ending: String?

    var body: some View {
        VStack(alignment: .leading, spacing: 8) {
            ForEach(captions) { caption in
                ViewThatFits(in: .horizontal) {
                    HStack { content(caption) }
                    VStack(alignment: .leading) { content(caption) }
                }
                .accessibilityElement(children: .ignore)
                .accessibilityLabel(caption.spoken)
            }
            if let ending { Text(ending).font(.headline) }
        }
    }

    @ViewBuilder
    private func content(_ caption: StepCaption) -> some View {
        Text(caption.title).foregroundStyle(.secondary)
        Text(caption.answer).bold()
        Spacer(minLength: 0)
        Text(caption.time).monospacedDigit().foregroundStyle(.secondary)
    }
}
