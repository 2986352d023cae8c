import { describe, expect, it } from 'vitest'
import { fixedInput, planReplay } from '@/lib/replay'

describe('a replay', () => {
  const input = { text: 'a', fail_at: 'tool_call' }

  it('with the switch alone changed is a patch, so finished steps are kept', () => {
    expect(planReplay(input, { text: 'a' })).toEqual({ options: { failAt: null }, keepsSteps: true })
    expect(planReplay({ text: 'a' }, input)).toEqual({ options: { failAt: 'tool_call' }, keepsSteps: true })
  })

  it('of the same input sends nothing', () => {
    expect(planReplay(input, { ...input })).toEqual({ options: {}, keepsSteps: true })
  })

  it('with anything else changed is another input, and every step runs again', () => {
    const wanted = { text: 'b' }
    expect(planReplay(input, wanted)).toEqual({ options: { input: wanted }, keepsSteps: false })
    expect(planReplay(input, 'text')).toEqual({ options: { input: 'text' }, keepsSteps: false })
  })

  it('has a fix only where there is a switch to take away', () => {
    expect(fixedInput(input)).toEqual({ text: 'a' })
    expect(fixedInput({ text: 'a' })).toBeNull()
    expect(fixedInput('text')).toBeNull()
  })
})
