/// A measured run: what `gfnet bench ingest` reads. The field's meanings are those of `gfnet/results/schema.py`.
public struct BenchmarkResult: Codable, Sendable, Equatable {
    /// The only one that is read and written.
    public static let schemaVersion = 2

    public var schemaVersion: Int
    /// What measured it, and its version.
    public var tool: String
    /// When, UTC, `2026-01-31T12:00:00Z`.
    public var created: String
    public var machine: Machine
    public var conditions: Conditions
    /// The command line that repeats the measurement.
    public var command: String?
    /// Number of images, each of which was run in each round.
    public var images: Int
    /// Images that could not be read.
    @OrEmpty public var unreadable: [String]
    public var rounds: Int
    /// New ones, one after another, that shared the rounds; `nil` says 1.
    public var processes: Int?
    /// Rounds before that were not counted, until it was steady.
    public var warmupRounds: Int
    /// What measuring adds to one call, microseconds.
    public var harnessUs: Double?
    public var subjects: [Subject]
    /// Reasons not to rely on it that showed while it was measured.
    @OrEmpty public var unreliable: [Doubt]

    enum CodingKeys: String, CodingKey {
        case tool, created, machine, conditions, command, images, unreadable, rounds, processes, subjects, unreliable
        case schemaVersion = "schema_version"
        case warmupRounds = "warmup_rounds"
        case harnessUs = "harness_us"
    }

    public init(
        tool: String, created: String, machine: Machine, conditions: Conditions, images: Int,
        unreadable: [String] = [], rounds: Int, warmupRounds: Int, harnessUs: Double?, subjects: [Subject],
        unreliable: [Doubt]
    ) {
        schemaVersion = Self.schemaVersion
        self.tool = tool
        self.created = created
        self.machine = machine
        self.conditions = conditions
        self.images = images
        self.unreadable = unreadable
        self.rounds = rounds
        self.warmupRounds = warmupRounds
        self.harnessUs = harnessUs
        self.subjects = subjects
        self.unreliable = unreliable
    }
}

/// What a run was measured on.
public struct Machine: Codable, Sendable, Equatable {
    /// The product, as its maker calls it inside: `iPhone15,2`.
    public var device: String
    public var os: String
    public var processor: String?
    public var cores: Int?
    public var memoryBytes: Int?
    /// How the system chooses the processor's frequency.
    public var governor: String?

    enum CodingKeys: String, CodingKey {
        case device, os, processor, cores, governor
        case memoryBytes = "memory_bytes"
    }

    public init(
        device: String, os: String, processor: String? = nil, cores: Int? = nil, memoryBytes: Int? = nil,
        governor: String? = nil
    ) {
        self.device = device
        self.os = os
        self.processor = processor
        self.cores = cores
        self.memoryBytes = memoryBytes
        self.governor = governor
    }
}

/// What the machine did besides, as far as it can be told; `nil` and empty where the system has no such notion.
public struct Conditions: Codable, Sendable, Equatable {
    /// Seconds that the measuring took.
    public var seconds: Double
    /// The system's load average of one minute.
    public var loadBefore: Double?
    public var loadAfter: Double?
    /// Cores that other processes kept busy, on average.
    public var othersCores: Double?
    /// The cores that it was allowed to use.
    public var affinity: [Int]?
    /// The system's thermal state at the start of each round, as the system calls it.
    @OrEmpty public var thermalStates: [String]
    /// Whether it was on at any time.
    public var lowPowerMode: Bool?
    /// At the end, 0 … 1.
    public var batteryLevel: Double?
    public var pluggedIn: Bool?
    /// Whether the program was put into the background; `nil` says no.
    public var interrupted: Bool?

    enum CodingKeys: String, CodingKey {
        case seconds, affinity, interrupted
        case loadBefore = "load_before"
        case loadAfter = "load_after"
        case othersCores = "others_cores"
        case thermalStates = "thermal_states"
        case lowPowerMode = "low_power_mode"
        case batteryLevel = "battery_level"
        case pluggedIn = "plugged_in"
    }

    public init(
        seconds: Double, thermalStates: [String] = [], lowPowerMode: Bool? = nil, batteryLevel: Double? = nil,
        pluggedIn: Bool? = nil, interrupted: Bool = false
    ) {
        self.seconds = seconds
        self.thermalStates = thermalStates
        self.lowPowerMode = lowPowerMode
        self.batteryLevel = batteryLevel
        self.pluggedIn = pluggedIn
        self.interrupted = interrupted
    }
}

/// One thing that was measured: a network step by step, or a classifier that sees the full image once.
public struct Subject: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        case network, classifier
    }

    /// Unique in the run.
    public var name: String
    public var kind: Kind
    /// Backbone, patch size and steps, `resnet50_p96_T5`; a classifier's is `backbone@imageSize`.
    public var network: String
    /// Side of the square that it is given, pixels.
    public var imageSize: Int
    /// Of weights and activations, and how weights are compressed.
    public var precision: String
    /// Which parts are one subgraph; `nil` says `split`.
    public var layout: String?
    /// Size of its files.
    public var bytes: Int?
    /// Digest of the bundle's manifest, which names the digests of everything else; or of the file.
    public var sha256: String?
    /// Git revision of its folder, if it lies in a repository.
    public var revision: String?
    /// Name of the subject that its ratios are to.
    public var reference: String?
    /// Cumulative multiply-adds of sequences of 1 … T steps, where known.
    @OrEmpty public var macs: [Double]
    /// Accuracy in percent after each step, as stored with the network; empty where unknown.
    @OrEmpty public var storedTop1: [Double]
    public var runtime: Runtime
    public var subgraphs: [SubgraphTiming]
    /// For T steps, T of them.
    public var stops: [Stop]
    public var loop: Loop
    @OrEmpty public var curve: [CurvePoint]
    /// A network against classifiers of known accuracy, one each.
    @OrEmpty public var matches: [Match]
    public var cold: Cold?
    /// Settings that were tried before, the fastest of which ran.
    @OrEmpty public var tried: [Tried]

    enum CodingKeys: String, CodingKey {
        case name, kind, network, precision, layout, bytes, sha256, revision, reference, macs, runtime, subgraphs
        case stops, loop, curve, matches, cold, tried
        case imageSize = "image_size"
        case storedTop1 = "stored_top1"
    }

    public init(
        about: NetworkDescription, subgraphs: [SubgraphTiming], stops: [Stop], loop: Loop, curve: [CurvePoint],
        cold: Cold?
    ) {
        name = about.name
        kind = about.steps == 1 ? .classifier : .network
        network = about.network
        imageSize = about.imageSize
        precision = about.precision
        layout = about.layout
        bytes = about.bytes
        sha256 = about.sha256
        macs = about.macs
        storedTop1 = about.storedTop1
        runtime = about.runtime
        self.subgraphs = subgraphs
        self.stops = stops
        self.loop = loop
        self.curve = curve
        matches = []
        self.cold = cold
        tried = []
    }
}

/// What ran the subgraphs.
public struct Runtime: Codable, Sendable, Equatable {
    public var name: String
    public var version: String
    /// Where they were allowed to run, as the runtime calls it.
    public var computeUnits: String
    /// Inside an operator; `nil` where the runtime decides.
    public var threads: Int?
    /// Others that matter, by their own names.
    @OrEmpty public var settings: [String: String]

    enum CodingKeys: String, CodingKey {
        case name, version, threads, settings
        case computeUnits = "compute_units"
    }

    public init(
        name: String, version: String, computeUnits: String, threads: Int? = nil, settings: [String: String] = [:]
    ) {
        self.name = name
        self.version = version
        self.computeUnits = computeUnits
        self.threads = threads
        self.settings = settings
    }
}

/// The calls of one subgraph, without what is done around them.
public struct SubgraphTiming: Codable, Sendable, Equatable {
    public var name: String
    public var role: String
    /// The steps (1 … T) that run it.
    public var steps: [Int]
    /// Until it could be called, in a new process.
    public var loadMs: Double?
    /// Its first call there.
    public var firstRunMs: Double?
    /// By which that process grew while it was loaded and first called.
    public var memoryBytes: Int?
    /// Once it is warm.
    public var steady: Timing
    /// Of its median to the reference's whole latency.
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case name, role, steps, steady, ratio
        case loadMs = "load_ms"
        case firstRunMs = "first_run_ms"
        case memoryBytes = "memory_bytes"
    }

    public init(
        name: String, role: String, steps: [Int], loadMs: Double? = nil, firstRunMs: Double? = nil, steady: Timing
    ) {
        self.name = name
        self.role = role
        self.steps = steps
        self.loadMs = loadMs
        self.firstRunMs = firstRunMs
        self.steady = steady
    }
}

/// Whole images that all stop after the same step.
public struct Stop: Codable, Sendable, Equatable {
    /// 1 … T.
    public var step: Int
    /// Mean over the images of each one's median over the rounds.
    public var typicalMs: Double
    public var latency: Timing
    /// Accuracy in percent on the images, where their classes are known.
    public var top1: Double?
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case step, latency, top1, ratio
        case typicalMs = "typical_ms"
    }

    public init(step: Int, typicalMs: Double, latency: Timing, top1: Double? = nil) {
        self.step = step
        self.typicalMs = typicalMs
        self.latency = latency
        self.top1 = top1
    }
}

/// Whole images, each with its own exit: from the preprocessed square to the answer.
public struct Loop: Codable, Sendable, Equatable {
    /// Under which an image stops; `nil`: all steps were run.
    @OrNull public var thresholds: [Double]?
    /// Fraction of images that stopped at each step.
    public var exitDistribution: [Double]
    public var latency: Timing
    /// Mean over the images of each one's median over the rounds.
    public var typicalMs: Double
    /// What the stops' latencies, weighted by `exitDistribution`, say it should be.
    public var modelledMs: Double
    /// Mean latency of each round.
    public var roundMs: [Double]
    /// With decoding and preprocessing, one image at a time.
    public var imagesPerSecond: Double?
    /// Accuracy in percent, where the images' classes are known.
    public var top1: Double?
    @OrEmpty public var answers: [Answer]
    /// Of `typicalMs` to the reference's.
    public var ratio: Ratio?

    enum CodingKeys: String, CodingKey {
        case thresholds, latency, top1, answers, ratio
        case exitDistribution = "exit_distribution"
        case typicalMs = "typical_ms"
        case modelledMs = "modelled_ms"
        case roundMs = "round_ms"
        case imagesPerSecond = "images_per_second"
    }

    public init(
        thresholds: [Double]?, exitDistribution: [Double], latency: Timing, typicalMs: Double, modelledMs: Double,
        roundMs: [Double], imagesPerSecond: Double? = nil, top1: Double? = nil, answers: [Answer] = []
    ) {
        self.thresholds = thresholds
        self.exitDistribution = exitDistribution
        self.latency = latency
        self.typicalMs = typicalMs
        self.modelledMs = modelledMs
        self.roundMs = roundMs
        self.imagesPerSecond = imagesPerSecond
        self.top1 = top1
        self.answers = answers
    }
}

/// What the loop said of one image.
public struct Answer: Codable, Sendable, Equatable {
    public var image: String
    public var exitStep: Int
    public var classIndex: Int

    enum CodingKeys: String, CodingKey {
        case image
        case exitStep = "exit_step"
        case classIndex = "class_index"
    }

    public init(image: String, exitStep: Int, classIndex: Int) {
        self.image = image
        self.exitStep = exitStep
        self.classIndex = classIndex
    }
}

/// One stored set of thresholds: what it was known to give, and what it costs here.
public struct CurvePoint: Codable, Sendable, Equatable {
    /// Average multiply-adds per image that the thresholds were found for.
    public var budget: Double
    public var thresholds: [Double]
    /// Accuracy in percent on the split that the network was evaluated on.
    @OrNull public var top1: Double?
    /// There.
    public var exitDistribution: [Double]
    /// Mean latency with those exits.
    @OrNull public var modelledMs: Double?
    /// Mean latency of the images of this run, each stopped where these thresholds stop it.
    public var measuredMs: Double?
    /// Their exit distribution.
    @OrEmpty public var measuredExits: [Double]
    /// Their accuracy, where their classes are known.
    public var measuredTop1: Double?

    enum CodingKeys: String, CodingKey {
        case budget, thresholds, top1
        case exitDistribution = "exit_distribution"
        case modelledMs = "modelled_ms"
        case measuredMs = "measured_ms"
        case measuredExits = "measured_exits"
        case measuredTop1 = "measured_top1"
    }

    public init(
        budget: Double, thresholds: [Double], top1: Double?, exitDistribution: [Double], modelledMs: Double?,
        measuredMs: Double? = nil, measuredExits: [Double] = [], measuredTop1: Double? = nil
    ) {
        self.budget = budget
        self.thresholds = thresholds
        self.top1 = top1
        self.exitDistribution = exitDistribution
        self.modelledMs = modelledMs
        self.measuredMs = measuredMs
        self.measuredExits = measuredExits
        self.measuredTop1 = measuredTop1
    }
}

/// A network where it is as accurate as a classifier of the same run, on the run's images.
public struct Match: Codable, Sendable, Equatable {
    /// The other subject's name.
    public var classifier: String
    /// Its accuracy in percent.
    public var top1: Double
    /// The network's mean latency at that accuracy; `nil` where it never gets there.
    @OrNull public var typicalMs: Double?
    /// Of that to the classifier's mean latency.
    @OrNull public var ratio: Double?
    /// End of the 95 % interval over resampled images.
    @OrNull public var low: Double?
    /// Likewise; `nil` where too many of the resamples never get there.
    @OrNull public var high: Double?

    enum CodingKeys: String, CodingKey {
        case classifier, top1, ratio, low, high
        case typicalMs = "typical_ms"
    }
}

/// The first image of a new process, medians of several.
public struct Cold: Codable, Sendable, Equatable {
    public var repeats: Int
    /// Until the program's first line.
    public var processMs: Double?
    /// Until the runtime's library was there.
    public var importMs: Double?
    /// Until every subgraph could be called.
    public var loadMs: Double
    /// The first image, once it was preprocessed.
    public var firstImageMs: Double
    /// The most memory that the process held.
    public var peakBytes: Int?

    enum CodingKeys: String, CodingKey {
        case repeats
        case processMs = "process_ms"
        case importMs = "import_ms"
        case loadMs = "load_ms"
        case firstImageMs = "first_image_ms"
        case peakBytes = "peak_bytes"
    }

    public init(repeats: Int = 1, loadMs: Double, firstImageMs: Double) {
        self.repeats = repeats
        self.loadMs = loadMs
        self.firstImageMs = firstImageMs
    }
}

/// Settings of a runtime, and what an image took under them.
public struct Tried: Codable, Sendable, Equatable {
    public var settings: [String: String]
    public var typicalMs: Double

    enum CodingKeys: String, CodingKey {
        case settings
        case typicalMs = "typical_ms"
    }
}

/// A time over the reference's in the same run, with its 95 % interval.
public struct Ratio: Codable, Sendable, Equatable {
    public var value: Double
    public var low: Double
    public var high: Double
}

/// One distribution of times, milliseconds.
public struct Timing: Codable, Sendable, Equatable {
    public var count: Int
    public var meanMs: Double
    public var medianMs: Double
    public var p90Ms: Double
    public var p99Ms: Double
    /// The single times in the order in which they were taken, if they are kept.
    @OrEmpty public var samplesMs: [Double]

    enum CodingKeys: String, CodingKey {
        case count
        case meanMs = "mean_ms"
        case medianMs = "median_ms"
        case p90Ms = "p90_ms"
        case p99Ms = "p99_ms"
        case samplesMs = "samples_ms"
    }

    /// A distribution from its samples.
    ///
    /// - Parameters:
    ///   - seconds: at least one.
    ///   - keep: the single times too, to a tenth of a microsecond.
    public init(seconds: [Double], keep: Bool = false) {
        let values = seconds.map { 1e3 * $0 }
        let sorted = values.sorted()
        count = values.count
        meanMs = Statistics.mean(values)
        medianMs = Statistics.percentile(ofSorted: sorted, 50)
        p90Ms = Statistics.percentile(ofSorted: sorted, 90)
        p99Ms = Statistics.percentile(ofSorted: sorted, 99)
        samplesMs = keep ? values.map { ($0 * 1e4).rounded() / 1e4 } : []
    }
}
