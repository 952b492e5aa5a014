//! A whole test program on the wiping allocator: whatever it does with memory must come out as usual.

use std::collections::BTreeMap;

use std::alloc::System;

use coffer_sys::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator<System> = WipingAllocator::over(System);

#[test]
fn collections_grow_shrink_and_move_between_threads() {
    let threads: Vec<_> = (0..4_usize)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut words = BTreeMap::new();
                for round in 0..2000 {
                    let mut word = String::new();
                    for letter in 0..round % 50 {
                        word.push(if letter % 2 == 0 { 'a' } else { 'b' });
                    }
                    word.shrink_to_fit();
                    words.insert((thread, round), word);
                }
                words.retain(|(_, round), _| round % 3 == 0);
                words
            })
        })
        .collect();
    for thread in threads {
        let words = thread.join().unwrap();
        assert_eq!(words.len(), 667);
        for ((_, round), word) in words {
            assert_eq!(word, "ab".repeat(25)[..round % 50]);
        }
    }
}

#[test]
fn zeroed_and_aligned_blocks_are_what_they_promise() {
    #[repr(align(128))]
    struct Aligned([u8; 128]);

    let zeros = vec![0_u8; 3 << 20];
    assert!(zeros.iter().all(|byte| *byte == 0));
    let mut aligned: Vec<Aligned> = Vec::new();
    for byte in 0..100 {
        aligned.push(Aligned([byte; 128]));
        assert_eq!(aligned.as_ptr().addr() % 128, 0);
    }
    for (at, block) in aligned.iter().enumerate() {
        assert!(block.0.iter().all(|byte| usize::from(*byte) == at));
    }
}
