/**
 * Calls about topics and the groups that read them.
 */

import type { OptionsOf, QueryOf } from '../options.js'
import { path } from '../transport.js'
import type {
  BrowsePage,
  CreateTopicRequest,
  GroupPage,
  PatchTopicRequest,
  SeekTo,
  Sought,
  Topic,
  TopicCreated,
  TopicList,
  TopicSummaryPage,
} from '../wire.js'
import { BrokerCalls } from './broker.js'

/** Topics and groups. */
export class TopicCalls extends BrokerCalls {
  /** Makes a topic; making it again is fine. */
  createTopic(name: string, options: OptionsOf<CreateTopicRequest, 'name'> = {}): Promise<TopicCreated> {
    return this.post('/topics', { ...options, name }, { repeatable: true })
  }

  /** The names of topics, sorted. */
  listTopics(options: Omit<QueryOf<'list_topics'>, 'detail'> = {}): Promise<TopicList> {
    return this.get('/topics', options)
  }

  /** Topics with their counts. */
  listTopicSummaries(options: Omit<QueryOf<'list_topics'>, 'detail'> = {}): Promise<TopicSummaryPage> {
    return this.get('/topics', { ...options, detail: 1 })
  }

  /** Partitions, groups and settings of a topic. */
  getTopic(name: string, options: Pick<QueryOf<'list_topics'>, 'signal'> = {}): Promise<Topic> {
    return this.get(path`/topics/${name}`, options)
  }

  /** Changes settings; null goes back to the default, what is left out stays. */
  updateTopic(name: string, options: OptionsOf<PatchTopicRequest>): Promise<Topic> {
    return this.patch(path`/topics/${name}`, options)
  }

  /** Deletes a topic with all that is in it; one of the same name is new from then on. */
  deleteTopic(name: string, options: QueryOf<'delete_topic'> = {}): Promise<void> {
    return this.delete(path`/topics/${name}`, options, { repeatable: false })
  }

  /** Looks at messages without consuming them. */
  browseTopic(name: string, options: QueryOf<'browse_topic'> = {}): Promise<BrowsePage> {
    return this.get(path`/topics/${name}/messages`, options)
  }

  /** Who reads, how far they are, and what they hold. */
  listGroups(options: QueryOf<'list_groups'> = {}): Promise<GroupPage> {
    return this.get('/groups', options)
  }

  /** Lets a group read again from somewhere; leases on what is sought over end. */
  seekGroup(
    topic: string,
    group: string,
    to: SeekTo,
    options: Pick<QueryOf<'seek_group'>, 'reason' | 'signal'> = {},
  ): Promise<Sought> {
    return this.post('/groups/seek', { ...options, topic, group, to }, { repeatable: true })
  }

  /** Forgets a group and how far it was. */
  deleteGroup(
    topic: string,
    group: string,
    options: Pick<QueryOf<'delete_group'>, 'reason' | 'signal'> = {},
  ): Promise<void> {
    return this.delete('/groups', { ...options, topic, group }, { repeatable: false })
  }
}
