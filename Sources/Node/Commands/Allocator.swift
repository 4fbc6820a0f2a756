import CLinux

/// How much memory the C library keeps of what was given back.
enum Allocator {
    /// By itself it learns from large blocks to keep ever more: after a body of 18 MiB 64 MiB of each thread's arena. With
    /// limits of its own it learns nothing; blocks of this size and more are mapped, and go back when they are freed.
    private static let mapped: CInt = 2 << 20
    /// Free at the end of an arena.
    private static let kept: CInt = 4 << 20

    static func keepLittle() {
        mallopt(M_MMAP_THRESHOLD, mapped)
        mallopt(M_TRIM_THRESHOLD, kept)
    }
}
