import { exchangeMutations } from './mutations/exchanges.ts'
import { groupMutations } from './mutations/groups.ts'
import type { Mutation } from './mutations/mutation.ts'
import { otherMutations } from './mutations/others.ts'
import { pollMutations } from './mutations/polls.ts'
import { sendMutations } from './mutations/sends.ts'

/** Every way to make a good history bad. */
export const mutations: readonly Mutation[] = [
  ...pollMutations,
  ...sendMutations,
  ...exchangeMutations,
  ...groupMutations,
  ...otherMutations,
]
