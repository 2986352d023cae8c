import { expect, it } from 'vitest'
import { age, countdown, duration, offset, stopwatch } from '@/lib/time'

it.each([
  [0, '0 ms'],
  [867, '867 ms'],
  [1_200, '1.2 s'],
  [9_949, '9.9 s'],
  [9_950, '10 s'],
  [33_000, '33 s'],
  [60_000, '1 min'],
  [185_000, '3 min 5 s'],
  [7_440_000, '2 h 4 min'],
  [90_000_000, '1 d 1 h'],
])('%i ms last %s', (ms, words) => expect(duration(ms)).toBe(words))

it.each([
  [0, '+0.000 s'],
  [4_508, '+4.508 s'],
  [102_340, '+1:42.3'],
  [3_723_000, '+1:02:03'],
  [-12, '−0.012 s'],
])('an event after %i ms stands at %s', (ms, words) => expect(offset(ms)).toBe(words))

it.each([
  [41_900, '41 s'],
  [180_000, '3 min'],
  [7_200_000, '2 h'],
  [432_000_000, '5 d'],
  [-5, '0 s'],
])('%i ms ago is %s', (ms, words) => expect(age(ms)).toBe(words))

it('a countdown counts tenths at its end, and never below nothing', () => {
  expect([countdown(30_000), countdown(1_849), countdown(-20)]).toEqual(['30 s', '1.8 s', '0.0 s'])
})

it('a stop watch shows minutes, then hours', () => {
  expect([stopwatch(41_000), stopwatch(725_000), stopwatch(3_600_000)]).toEqual(['0:41', '12:05', '1:00:00'])
})
