import type { TaskId } from '../../engine/engine.ts'
import type {
  EngineStatus,
  MemberStatus,
  PartitionStatus,
  TaskStatus,
  TopicStatus,
} from '../../engine/status.ts'
import { storeNames } from '../../engine/store-names.ts'
import type { Cluster } from './cluster.ts'
import type { GroupMember } from './group-member.ts'
import { describeGroup } from './group-questions.ts'
import { hangingText, hangingTransactions } from './hanging-transactions.ts'
import { translated } from './kafka-errors.ts'
import type { KafkaLog } from './kafka-log.ts'
import type { KafkaNames } from './kafka-names.ts'
import type { LogEnds } from './log-ends.ts'
import type { RegisteredGroup, RegisteredTopic, Registry } from './registry.ts'
import type { Safety } from './safety.ts'
import type { TaskView } from './task-view.ts'
import type { TopicTable } from './topic-table.ts'

export interface StatusParts {
  readonly names: KafkaNames
  readonly topics: TopicTable
  readonly registry: Registry
  readonly log: KafkaLog
  readonly ends: LogEnds
  readonly cluster: Cluster
  readonly members: ReadonlySet<GroupMember>
  readonly member: string
  readonly safety: Safety
  view(task: TaskId): TaskView
}

/** What a broker tells of a group: who is in it and who has which partition of a changelog. */
interface GroupNow {
  readonly members: readonly string[]
  readonly owners: ReadonlyMap<string, string>
}

/** Asked from the brokers, part by part: no snapshot of all at one moment exists in Kafka. */
export async function kafkaStatus(parts: StatusParts): Promise<EngineStatus> {
  const entries = await parts.registry.entries()
  const topics = entries.filter((entry): entry is RegisteredTopic => entry.kind === 'topic')
  const groups = entries.filter((entry): entry is RegisteredGroup => entry.kind === 'group')
  const now = await groupsNow(parts, [...new Set(groups.map(({ group }) => group))])
  const [topicList, taskLists] = await Promise.all([
    Promise.all(topics.map((topic) => topicStatus(parts, topic))),
    Promise.all(groups.map((entry) => taskStatuses(parts, entry, now.get(entry.group)!))),
  ])
  return {
    topics: topicList,
    groups: taskLists.flat(),
    members: [...now].flatMap(([group, { members }]) =>
      members.map((member) => memberStatus(parts, group, member)),
    ),
    storage: await storageOf(parts),
    exceptions: parts.safety.exceptions,
  }
}

/** Asked for only while something hangs. Who may not be asked about leaves the count. */
async function storageOf({ cluster, ends }: StatusParts): Promise<Record<string, number | string>> {
  const { stuck } = ends
  if (stuck.length === 0) return { stuckPartitions: 0 }
  const hanging = await hangingTransactions(cluster, stuck).catch(() => [])
  return {
    stuckPartitions: stuck.length,
    hangingTransactions: hanging.map(hangingText).join('; ') || 'not known',
  }
}

async function topicStatus({ log, names }: StatusParts, { topic }: RegisteredTopic): Promise<TopicStatus> {
  const bounds = await log.bounds(topic)
  const partitions = bounds.map(async ({ earliest, end }, partition): Promise<PartitionStatus> => {
    const last = await log.lastBefore(names.topic(topic), partition, earliest, end)
    return { earliest, end, duplicates: 0, lastAppendTime: last?.timestamp }
  })
  return { topic, dedupWindowMs: 0, partitions: await Promise.all(partitions) }
}

async function taskStatuses(
  parts: StatusParts,
  entry: RegisteredGroup,
  now: GroupNow,
): Promise<TaskStatus[]> {
  const { group, topic, partitions } = entry
  const tasks = Array.from({ length: partitions }, (_, partition) => ({ group, topic, partition }))
  const statuses = await Promise.all(tasks.map((task) => taskStatus(parts, task, now)))
  return statuses.filter(({ epoch, restoring }) => epoch > 0 || restoring !== undefined)
}

async function taskStatus(parts: StatusParts, task: TaskId, { owners }: GroupNow): Promise<TaskStatus> {
  const view = parts.view(task)
  // While much is being restored, what is there already is shown, and not waited for the rest.
  await view.look()
  const position = view.record?.position
  return {
    ...task,
    position,
    waitingSince: position === undefined ? undefined : await waitingSince(parts, task, position),
    epoch: view.record?.epoch ?? 0,
    owner: owners.get(`${parts.names.changelog(task.group, task.topic)}/${task.partition}`),
    deadLetters: view.count(storeNames.deadLetters),
    ...(view.restoring === undefined ? undefined : { restoring: view.restoring }),
  }
}

async function waitingSince(parts: StatusParts, task: TaskId, position: number): Promise<number | undefined> {
  const name = parts.names.topic(task.topic)
  const source = await parts.topics.find(name)
  if (source === undefined || task.partition >= source.partitions) return undefined
  const { earliest, end } = (await parts.log.bounds(task.topic))[task.partition]!
  const from = Math.max(position, earliest)
  return from >= end ? undefined : (await parts.log.firstFrom(name, task.partition, from))?.timestamp
}

async function groupsNow(parts: StatusParts, groups: readonly string[]): Promise<Map<string, GroupNow>> {
  try {
    const answers = groups.map(async (group): Promise<[string, GroupNow]> => {
      return [group, await groupNow(parts, group)]
    })
    return new Map(await Promise.all(answers))
  } catch (error) {
    throw translated(error, 'asking for groups', 'not-applied')
  }
}

async function groupNow({ cluster, names }: StatusParts, group: string): Promise<GroupNow> {
  const { members } = await describeGroup(cluster, names.group(group))
  const owners = new Map<string, string>()
  for (const { clientId, assigned } of members) {
    for (const { topic, partition } of assigned) owners.set(`${topic}/${partition}`, clientId)
  }
  return { members: [...new Set(members.map(({ clientId }) => clientId))], owners }
}

const noReport = { inFlight: 0, retries: 0, handled: 0, commitMs: { p50: 0, p99: 0 } }

/** Brokers keep no reports: what a member tells about itself is known in its own process alone. */
function memberStatus({ members, member: self }: StatusParts, group: string, member: string): MemberStatus {
  const own = [...members].find(({ request }) => member === self && request.group === group)
  return { group, member, report: own?.request.report() ?? noReport, silentMs: 0 }
}
