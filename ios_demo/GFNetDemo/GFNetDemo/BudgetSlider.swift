import GFNetKit
import SwiftUI

/// How much an image may cost on average.
struct BudgetSlider: View {
    @Binding var position: Double
    let scale: BudgetScale

    var body: some View {
        VStack(alignment: .leading) {
            Text("Budget: \(title)")
            if scale.last > 0 {
                Slider(value: $position, in: 0...Double(scale.last), step: 1) { Text("Budget") }
                    .accessibilityValue(title)
            }
        }
    }

    private var title: String { scale.title(at: Int(position.rounded())) }
}
